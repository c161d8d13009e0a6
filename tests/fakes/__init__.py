"""The neighbours the services talk to, in memory and deterministic: Kafka, S3, the warehouse, MySQL. They keep what the real ones promise
and no more, so that what is proven on them holds; `tests/ports` runs one behaviour suite on each fake and on its real edge."""
