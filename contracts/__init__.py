"""What the services promise each other: pure values and their codecs, no I/O. What one service writes, another reads."""
