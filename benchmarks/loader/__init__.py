"""The loader's benchmark: Kafka to Parquet on S3, before a warehouse that accepts everything at once; throughput and memory."""
