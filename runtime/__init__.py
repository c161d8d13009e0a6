"""How any service runs: settings, connections, logs, metrics, start and stop. Knows no service, and nothing about rows."""
