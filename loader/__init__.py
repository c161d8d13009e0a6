"""Kafka to S3 to Redshift. Rows of a shard are cut into micro-batches at barriers, written as Parquet, COPYed into staging and merged
in one transaction with the fence, the ledger and the watermark. Whatever happens in between leaves an orphan, never a gap."""
