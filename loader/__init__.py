"""Kafka to Redshift, each change exactly once: row changes become micro-batches of Parquet on S3, are COPYed into staging and merged in one
short transaction with the offsets they came from, the ledger and the watermark. Whatever happens in between leaves an orphan, never a gap."""
