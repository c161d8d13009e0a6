"""The Redshift stand-in: Amazon Redshift's wire protocol and SQL surface in front of a PostgreSQL of its own.

It refuses SQL it does not know (unknown is never passed on), checks COPY's Parquet files as strictly as Redshift does, and is
never stricter than Redshift about data and concurrency. DIFFERENCES.md lists what it does not prove. Development only."""
