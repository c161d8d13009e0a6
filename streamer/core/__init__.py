"""The streamer's decisions, as functions of values: no network, no clock, no disk.

Bytes of the binlog become typed events (`stream`, `events`), table maps become schemas (`schemas`), row images become rows of
JSON-ready values (`rows`, `values`). Any byte string gives a value or `Corrupt`, never another exception, and never more memory than
a small multiple of its own length or of the limit the caller set.
"""
