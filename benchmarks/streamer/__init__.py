"""The streamer's benchmark: throughput against a pure-Python streamer on the same binlog, latency, memory."""
