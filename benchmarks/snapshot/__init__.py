"""The benchmark of tables read while they change: rows a second into Kafka, and how late the stream is meanwhile."""
