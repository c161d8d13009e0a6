-- The ledger: the only truth about what is loaded. One set of tables a shard, because Redshift locks whole tables and shards commit at
-- the same time; views of the plain names join the sets. {schema} and {shard} are filled in; statements end with a semicolon on a line's end.

-- per shard
CREATE TABLE IF NOT EXISTS {schema}.fence_{shard} (
  shard INTEGER NOT NULL, epoch BIGINT NOT NULL, commit_no BIGINT NOT NULL, owner VARCHAR(256) NOT NULL,
  progress_offset BIGINT NOT NULL, barrier_no BIGINT NOT NULL, gtid_set VARCHAR(65535) NOT NULL, partial BOOLEAN NOT NULL,
  commit_ts_us BIGINT NOT NULL) DISTSTYLE ALL;
CREATE TABLE IF NOT EXISTS {schema}.offsets_{shard} (
  topic VARCHAR(256) NOT NULL, "partition" INTEGER NOT NULL, topic_id VARCHAR(64) NOT NULL, next_offset BIGINT NOT NULL,
  next_seq BIGINT NOT NULL, state VARCHAR(16) NOT NULL, state_since_us BIGINT NOT NULL,
  source_table VARCHAR(600) NOT NULL, target_table VARCHAR(600) NOT NULL, because VARCHAR(4096) NOT NULL,
  emptied BOOLEAN NOT NULL) DISTSTYLE ALL;
CREATE TABLE IF NOT EXISTS {schema}.ledger_{shard} (
  batch_id VARCHAR(8) NOT NULL, topic VARCHAR(256) NOT NULL, "partition" INTEGER NOT NULL, topic_id VARCHAR(64) NOT NULL,
  epoch BIGINT NOT NULL, start_offset BIGINT NOT NULL, end_offset BIGINT NOT NULL, records BIGINT NOT NULL, superseded BIGINT NOT NULL,
  applied BIGINT NOT NULL, quarantined BIGINT NOT NULL, values_nulled BIGINT NOT NULL, manifest_key VARCHAR(1024) NOT NULL,
  manifest_sha256 VARCHAR(64) NOT NULL, committed_at TIMESTAMP NOT NULL, object_deleted_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS {schema}.quarantine_{shard} (
  topic VARCHAR(256) NOT NULL, "partition" INTEGER NOT NULL, record_offset BIGINT NOT NULL, row_key VARCHAR(65535),
  column_name VARCHAR(256), reason VARCHAR(1024) NOT NULL, raw_value VARCHAR(65535) NOT NULL, raw_size_bytes BIGINT NOT NULL,
  batch_id VARCHAR(8) NOT NULL, quarantined_at TIMESTAMP NOT NULL, closed_at TIMESTAMP);

-- shared
CREATE TABLE IF NOT EXISTS {schema}.pipeline (
  id VARCHAR(64) NOT NULL, bucket VARCHAR(256) NOT NULL, prefix VARCHAR(512) NOT NULL, cluster_id VARCHAR(512) NOT NULL,
  shards INTEGER NOT NULL, created_at TIMESTAMP NOT NULL) DISTSTYLE ALL;
CREATE TABLE IF NOT EXISTS {schema}.schema_version (
  topic VARCHAR(256) NOT NULL, target_table VARCHAR(600) NOT NULL, version INTEGER NOT NULL, fingerprint VARCHAR(16) NOT NULL,
  created_at TIMESTAMP NOT NULL) DISTSTYLE ALL;

-- watermarks
CREATE OR REPLACE VIEW {schema}.watermarks AS
SELECT o.source_table, o.target_table, o.state,
       TIMESTAMP 'epoch' + (o.state_since_us / 1000000) * INTERVAL '1 second' AS since, o.because,
       f.gtid_set,
       TIMESTAMP 'epoch' + (f.commit_ts_us / 1000000) * INTERVAL '1 second' AS complete_up_to,
       f.partial, COALESCE(l.applied, 0) AS rows_applied, COALESCE(l.batches, 0) AS batches, l.last_batch,
       COALESCE(q.entries, 0) AS quarantined,
       DATEDIFF(second, TIMESTAMP 'epoch' + (f.commit_ts_us / 1000000) * INTERVAL '1 second', GETDATE()) AS seconds_behind
FROM {schema}.offsets AS o
JOIN {schema}.fence AS f ON f.shard = o.shard
LEFT JOIN (SELECT topic, SUM(applied) AS applied, COUNT(*) AS batches, MAX(committed_at) AS last_batch
           FROM {schema}.ledger GROUP BY topic) AS l ON l.topic = o.topic
LEFT JOIN (SELECT topic, COUNT(*) AS entries FROM {schema}.quarantine WHERE closed_at IS NULL GROUP BY topic) AS q ON q.topic = o.topic;
