"""How fast, how soon and in how much memory: each service against a stack of its own on this machine. Development only, never shipped.

`python -m benchmarks.streamer` is what `make bench-streamer` runs; README.md says how to read its figures.
"""
