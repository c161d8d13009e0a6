"""The loader's decisions, as functions of values: no network, no clock, no randomness."""
