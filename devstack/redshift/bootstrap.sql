-- What PostgreSQL lacks of Redshift: functions under schema `standin`, system views, load history. Run at every start; idempotent.
CREATE SCHEMA IF NOT EXISTS standin;
GRANT USAGE ON SCHEMA standin TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;

CREATE TABLE IF NOT EXISTS standin.users (name text PRIMARY KEY, password text NOT NULL);
CREATE TABLE IF NOT EXISTS standin.long_names (kept text PRIMARY KEY, name text NOT NULL);
CREATE SEQUENCE IF NOT EXISTS standin.query_ids;
CREATE TABLE IF NOT EXISTS standin.loads (
  query_id bigint, session_id int, user_name text, table_name text, table_id oid, data_source text, started timestamp, ended timestamp,
  loaded_rows bigint, file_count int, loaded_bytes bigint, status text, error_message text);
CREATE TABLE IF NOT EXISTS standin.loaded_files (query_id bigint, file_name text, line_count bigint, at timestamp);
CREATE TABLE IF NOT EXISTS standin.load_errors (
  query_id bigint, session_id int, at timestamp, table_name text, table_id oid, file_name text, column_name text, column_type text,
  column_length text, error_code int, error_message text);

-- errors -----------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION standin.fail() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'aborted by the stand-in'; END$$;
CREATE OR REPLACE FUNCTION standin.too_long(kind text, length int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = '22001', MESSAGE = format('value too long for type %s(%s)', kind, length); END$$;
CREATE OR REPLACE FUNCTION standin.not_single_byte() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = '22021', MESSAGE = 'CHAR string contains invalid ASCII character'; END$$;

-- dates ------------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION standin.getdate() RETURNS timestamp LANGUAGE sql STABLE AS
  $$SELECT date_trunc('second', statement_timestamp()::timestamp)$$;
CREATE OR REPLACE FUNCTION standin.sysdate() RETURNS timestamp LANGUAGE sql STABLE AS $$SELECT now()::timestamp$$;
CREATE OR REPLACE FUNCTION standin.dateadd(part text, n numeric, t timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
  $$SELECT t + trunc(n) * CASE part WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || part)::interval END$$;
CREATE OR REPLACE FUNCTION standin.dateadd(part text, n numeric, t timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS
  $$SELECT t + trunc(n) * CASE part WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || part)::interval END$$;
CREATE OR REPLACE FUNCTION standin.dateadd(part text, n numeric, t date) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
  $$SELECT standin.dateadd(part, n, t::timestamp)$$;
-- DATEDIFF counts the boundaries of `part` crossed; a week begins on Sunday.
CREATE OR REPLACE FUNCTION standin.boundary(part text, t timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE part
    WHEN 'year' THEN extract(year FROM t)::bigint
    WHEN 'quarter' THEN (extract(year FROM t) * 4 + extract(quarter FROM t))::bigint
    WHEN 'month' THEN (extract(year FROM t) * 12 + extract(month FROM t))::bigint
    WHEN 'week' THEN floor((t::date - date '1970-01-04') / 7.0)::bigint
    WHEN 'day' THEN (t::date - date '1970-01-01')::bigint
    WHEN 'hour' THEN floor(extract(epoch FROM t) / 3600)::bigint
    WHEN 'minute' THEN floor(extract(epoch FROM t) / 60)::bigint
    WHEN 'second' THEN floor(extract(epoch FROM t))::bigint
    WHEN 'millisecond' THEN floor(extract(epoch FROM t) * 1000)::bigint
    WHEN 'microsecond' THEN floor(extract(epoch FROM t) * 1000000)::bigint END$$;
CREATE OR REPLACE FUNCTION standin.datediff(part text, a timestamp, b timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE AS
  $$SELECT standin.boundary(part, b) - standin.boundary(part, a)$$;
CREATE OR REPLACE FUNCTION standin.datediff(part text, a timestamptz, b timestamptz) RETURNS bigint LANGUAGE sql STABLE AS
  $$SELECT standin.datediff(part, a AT TIME ZONE 'UTC', b AT TIME ZONE 'UTC')$$;
CREATE OR REPLACE FUNCTION standin.date_part(part text, t timestamp) RETURNS double precision LANGUAGE sql IMMUTABLE AS
  $$SELECT floor(pg_catalog.date_part(part, t))$$;
CREATE OR REPLACE FUNCTION standin.date_trunc(part text, t timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
  $$SELECT pg_catalog.date_trunc(part, t)$$;
CREATE OR REPLACE FUNCTION standin.date_trunc(part text, t timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS
  $$SELECT pg_catalog.date_trunc(part, t)$$;
CREATE OR REPLACE FUNCTION standin.last_day(t timestamp) RETURNS date LANGUAGE sql IMMUTABLE AS
  $$SELECT (pg_catalog.date_trunc('month', t) + interval '1 month - 1 day')::date$$;
CREATE OR REPLACE FUNCTION standin.convert_timezone(target text, t timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
  $$SELECT t AT TIME ZONE 'UTC' AT TIME ZONE target$$;
CREATE OR REPLACE FUNCTION standin.convert_timezone(source text, target text, t timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
  $$SELECT t AT TIME ZONE source AT TIME ZONE target$$;

-- bytes, hashes, JSON ----------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION standin.sha2(t text, bits int) RETURNS varchar LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE bits WHEN 224 THEN encode(sha224(convert_to(t, 'UTF8')), 'hex') WHEN 384 THEN encode(sha384(convert_to(t, 'UTF8')), 'hex')
    WHEN 512 THEN encode(sha512(convert_to(t, 'UTF8')), 'hex') WHEN 256 THEN encode(sha256(convert_to(t, 'UTF8')), 'hex')
    WHEN 0 THEN encode(sha256(convert_to(t, 'UTF8')), 'hex') END$$;
CREATE OR REPLACE FUNCTION standin.sha2(b bytea, bits int) RETURNS varchar LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE bits WHEN 224 THEN encode(sha224(b), 'hex') WHEN 384 THEN encode(sha384(b), 'hex')
    WHEN 512 THEN encode(sha512(b), 'hex') WHEN 256 THEN encode(sha256(b), 'hex') WHEN 0 THEN encode(sha256(b), 'hex') END$$;
CREATE OR REPLACE FUNCTION standin.sha1(t text) RETURNS varchar LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN encode(public_crypto.digest(convert_to(t, 'UTF8'), 'sha1'), 'hex');
EXCEPTION WHEN invalid_schema_name OR undefined_function THEN
  RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = 'stand-in: SHA1 is not implemented without PostgreSQL''s pgcrypto extension'; END$$;
CREATE OR REPLACE FUNCTION standin.to_hex(n bigint) RETURNS varchar LANGUAGE sql IMMUTABLE AS $$SELECT pg_catalog.to_hex(n)$$;
CREATE OR REPLACE FUNCTION standin.to_hex(b bytea) RETURNS varchar LANGUAGE sql IMMUTABLE AS $$SELECT encode(b, 'hex')$$;
CREATE OR REPLACE FUNCTION standin.from_hex(t text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$SELECT decode(t, 'hex')$$;
CREATE OR REPLACE FUNCTION standin.to_varbyte(t text, form text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  CASE lower(form) WHEN 'utf8', 'utf-8' THEN RETURN convert_to(t, 'UTF8'); WHEN 'hex' THEN RETURN decode(t, 'hex');
    WHEN 'base64' THEN RETURN decode(t, 'base64');
    ELSE RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = format('stand-in: varbyte format %s is not implemented', form); END CASE;
END$$;
CREATE OR REPLACE FUNCTION standin.from_varbyte(b bytea, form text) RETURNS varchar LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  CASE lower(form) WHEN 'utf8', 'utf-8' THEN RETURN convert_from(b, 'UTF8'); WHEN 'hex' THEN RETURN encode(b, 'hex');
    WHEN 'base64' THEN RETURN replace(encode(b, 'base64'), E'\n', '');
    ELSE RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = format('stand-in: varbyte format %s is not implemented', form); END CASE;
END$$;
-- STRTOL of at most 16 digits; 16 digits fill a signed 64-bit number, as in Redshift the 16th must not overflow it.
CREATE OR REPLACE FUNCTION standin.strtol(t text, base int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE total numeric := 0; digit int;
BEGIN
  FOR i IN 1..length(t) LOOP
    digit := strpos('0123456789abcdefghijklmnopqrstuvwxyz', lower(substr(t, i, 1))) - 1;
    IF digit < 0 OR digit >= base THEN
      RAISE EXCEPTION USING ERRCODE = '22003', MESSAGE = format('The input %s is not valid to be converted to base %s', t, base);
    END IF;
    total := total * base + digit;
  END LOOP;
  RETURN total::bigint;
END$$;
CREATE OR REPLACE FUNCTION standin.json_parse(t text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$SELECT t::jsonb$$;
CREATE OR REPLACE FUNCTION standin.json_serialize(j jsonb) RETURNS varchar LANGUAGE sql IMMUTABLE AS
  $$SELECT regexp_replace(j::text, '("(?:[^"\\]|\\.)*")|([,:]) ', '\1\2', 'g')$$;
CREATE OR REPLACE FUNCTION standin.is_valid_json(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN IF t IS NULL THEN RETURN NULL; END IF; PERFORM t::json; RETURN true; EXCEPTION WHEN others THEN RETURN false; END$$;
CREATE OR REPLACE FUNCTION standin.json_extract_path_text(t text, VARIADIC path text[]) RETURNS varchar LANGUAGE sql IMMUTABLE AS
  $$SELECT coalesce(t::jsonb #>> path, '')$$;
-- A string assigned to SUPER becomes one JSON string, it is not parsed.
CREATE OR REPLACE FUNCTION standin.super_string(t varchar) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$SELECT to_jsonb(t)$$;
DO $$BEGIN CREATE CAST (varchar AS jsonb) WITH FUNCTION standin.super_string(varchar) AS ASSIGNMENT;
EXCEPTION WHEN duplicate_object THEN NULL; END$$;
CREATE OR REPLACE FUNCTION standin.listagg(t text) RETURNS varchar LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF octet_length(t) > 65535 THEN RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'Result size exceeds LISTAGG limit'; END IF;
  RETURN t;
END$$;

-- the session ------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION standin.version() RETURNS varchar LANGUAGE sql STABLE AS $$SELECT
  'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.0 (stand-in)'::varchar$$;
CREATE OR REPLACE FUNCTION standin.pg_last_copy_count() RETURNS bigint LANGUAGE sql VOLATILE AS
  $$SELECT coalesce(nullif(current_setting('standin.last_copy_count', true), ''), '0')::bigint$$;
CREATE OR REPLACE FUNCTION standin.pg_last_copy_id() RETURNS int LANGUAGE sql VOLATILE AS
  $$SELECT coalesce(nullif(current_setting('standin.last_copy_id', true), ''), '-1')::int$$;

-- tables -----------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION standin.about_column(relation oid, number int) RETURNS jsonb LANGUAGE plpgsql STABLE AS
  $$BEGIN RETURN coalesce(col_description(relation, number)::jsonb, '{}'); EXCEPTION WHEN others THEN RETURN '{}'; END$$;
CREATE OR REPLACE FUNCTION standin.about_table(relation oid) RETURNS jsonb LANGUAGE plpgsql STABLE AS
  $$BEGIN RETURN coalesce(obj_description(relation, 'pg_class')::jsonb, '{}'); EXCEPTION WHEN others THEN RETURN '{}'; END$$;
CREATE OR REPLACE FUNCTION standin.real_name(kept text) RETURNS varchar LANGUAGE sql STABLE SECURITY DEFINER AS
  $$SELECT coalesce((SELECT name FROM standin.long_names l WHERE l.kept = $1 AND octet_length($1) > 45), $1)$$;
CREATE OR REPLACE FUNCTION standin.kept_name(name text) RETURNS name LANGUAGE sql STABLE SECURITY DEFINER AS
  $$SELECT coalesce((SELECT kept FROM standin.long_names l WHERE l.name = $1), $1)::name$$;
CREATE OR REPLACE FUNCTION standin.attribute(relation oid, column_name text) RETURNS pg_attribute LANGUAGE plpgsql STABLE AS $$
DECLARE found_column pg_attribute;
BEGIN
  SELECT * INTO found_column FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attname = standin.kept_name(column_name) AND a.attnum > 0 AND NOT a.attisdropped;
  IF found_column.attnum IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42703',
      MESSAGE = format('column "%s" of relation "%s" does not exist', column_name, (SELECT relname FROM pg_class WHERE oid = relation));
  END IF;
  RETURN found_column;
END$$;
CREATE OR REPLACE FUNCTION standin.describe_column(relation regclass, column_name text, change jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c pg_attribute := standin.attribute(relation, column_name);
BEGIN
  EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', relation, c.attname, (standin.about_column(relation, c.attnum) || change)::text);
END$$;
CREATE OR REPLACE FUNCTION standin.declare_primary_key(relation regclass, columns jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE item record;
BEGIN
  IF EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND standin.about_column(relation, a.attnum) ? 'primary_key') THEN
    RAISE EXCEPTION USING ERRCODE = '42P16', MESSAGE = format('multiple primary keys for table "%s" are not allowed', relation);
  END IF;
  FOR item IN SELECT name, position FROM jsonb_array_elements_text(columns) WITH ORDINALITY AS c(name, position) LOOP
    IF NOT (standin.attribute(relation, item.name)).attnotnull THEN
      RAISE EXCEPTION USING ERRCODE = '42P16', MESSAGE = format('column "%s" of a primary key must be NOT NULL', item.name);
    END IF;
    PERFORM standin.describe_column(relation, item.name, jsonb_build_object('primary_key', item.position));
  END LOOP;
END$$;
CREATE OR REPLACE FUNCTION standin.forget_primary_key(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
  FOR c IN SELECT attname, attnum FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND standin.about_column(relation, a.attnum) ? 'primary_key' LOOP
    EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', relation, c.attname, (standin.about_column(relation, c.attnum) - 'primary_key')::text);
  END LOOP;
END$$;
-- DROP COLUMN; views are PostgreSQL's own concern. Source of the refusals: Redshift guide, "ALTER TABLE", DROP COLUMN.
CREATE OR REPLACE FUNCTION standin.check_droppable(relation regclass, column_name text, cascades boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c pg_attribute := standin.attribute(relation, column_name);
BEGIN
  IF standin.about_column(relation, c.attnum) ?| array['distkey', 'sortkey'] THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = format('cannot drop %s column "%s"',
      CASE WHEN standin.about_column(relation, c.attnum) ? 'distkey' THEN 'distkey' ELSE 'sortkey' END, column_name);
  END IF;
  IF (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped) = 1 THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = 'cannot drop the only column of a table';
  END IF;
  IF standin.about_column(relation, c.attnum) ? 'primary_key' THEN
    IF NOT cascades THEN
      RAISE EXCEPTION USING ERRCODE = '2BP01',
        MESSAGE = format('cannot drop column "%s" of table "%s" because other objects depend on it', column_name, relation), DETAIL = 'its primary key';
    END IF;
    PERFORM standin.forget_primary_key(relation);
  END IF;
END$$;
-- ALTER COLUMN TYPE VARCHAR(n). Source of the refusals: Redshift guide, "ALTER TABLE", ALTER COLUMN column_name TYPE.
CREATE OR REPLACE FUNCTION standin.resize(relation regclass, column_name text, length int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c pg_attribute := standin.attribute(relation, column_name); about jsonb; check_name name;
BEGIN
  about := standin.about_column(relation, c.attnum);
  IF c.atttypid <> 'varchar'::regtype THEN
    RAISE EXCEPTION USING ERRCODE = '0A000',
      MESSAGE = format('cannot alter column "%s" of relation "%s", data type "%s" is not character varying', column_name, relation, format_type(c.atttypid, NULL));
  ELSIF c.atthasdef THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = format('cannot alter column "%s" of relation "%s", column has a default value', column_name, relation);
  ELSIF about ? 'primary_key' THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = format('cannot alter column "%s" of relation "%s", column is part of a primary key', column_name, relation);
  ELSIF about ->> 'encoding' IN ('bytedict', 'runlength', 'text255', 'text32k') THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = format('cannot alter column "%s" of relation "%s" with encoding %s', column_name, relation, about ->> 'encoding');
  END IF;
  FOR check_name IN SELECT conname FROM pg_constraint WHERE conrelid = relation AND contype = 'c' AND conkey = ARRAY[c.attnum] LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', relation, check_name);
  END LOOP;
  BEGIN
    EXECUTE format('ALTER TABLE %s ADD CHECK (coalesce(octet_length(%I), 0) <= %s OR standin.too_long(''character varying'', %s))',
      relation, c.attname, length, length);
  EXCEPTION WHEN string_data_right_truncation THEN
    RAISE EXCEPTION USING ERRCODE = '22001',
      MESSAGE = format('cannot alter column "%s" of relation "%s", length of a value is longer than the new length %s', column_name, relation, length);
  END;
  EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE varchar(%s)', relation, c.attname, length);
END$$;

-- system views -----------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION standin.varbyte_length(relation oid, number int) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT substring(pg_get_constraintdef(oid) FROM 'too_long\(''varbyte''[^,]*, (\d+)\)')::int
  FROM pg_constraint WHERE conrelid = relation AND contype = 'c' AND conkey = ARRAY[number::smallint] LIMIT 1$$;
CREATE OR REPLACE FUNCTION standin.type_name(kind oid, modifier int, relation oid, number int) RETURNS varchar LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN kind = 'jsonb'::regtype THEN 'super'
    WHEN kind = 'bytea'::regtype THEN 'binary varying(' || coalesce(standin.varbyte_length(relation, number), 64000) || ')'
    ELSE format_type(kind, modifier) END$$;
CREATE OR REPLACE FUNCTION standin.of_users(namespace name) RETURNS boolean LANGUAGE sql STABLE AS
  $$SELECT namespace NOT IN ('pg_catalog', 'information_schema', 'standin', 'pg_toast', 'public_crypto') AND namespace NOT LIKE 'pg_toast_temp%'$$;
DROP VIEW IF EXISTS standin.svv_table_info, standin.svv_tables, standin.svv_columns, standin.svv_redshift_columns, standin.pg_table_def,
  standin.svv_transactions, standin.stl_load_errors, standin.sys_load_error_detail, standin.stl_load_commits, standin.sys_load_history,
  standin.stv_sessions, standin.pg_user, standin.pg_group, standin.information_schema_columns, standin.information_schema_tables,
  standin.information_schema_schemata, standin.all_columns CASCADE;
CREATE VIEW standin.all_columns AS
  SELECT n.nspname, c.oid AS relation, c.relname, c.relkind, a.attnum, a.attname, a.attnotnull, a.atttypid, a.atttypmod,
    standin.type_name(a.atttypid, a.atttypmod, c.oid, a.attnum) AS type_name, pg_get_expr(d.adbin, d.adrelid) AS default_value,
    standin.about_column(c.oid, a.attnum) AS about
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relkind IN ('r', 'v') AND standin.of_users(n.nspname);
-- Rows are counted by PostgreSQL's statistics: exact after ANALYZE, seconds behind otherwise.
CREATE VIEW standin.svv_table_info AS
  SELECT current_database()::varchar AS database, n.nspname::varchar AS schema, c.oid::int AS table_id, standin.real_name(c.relname) AS "table",
    CASE WHEN EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND standin.about_column(c.oid, a.attnum) ? 'encoding') THEN 'Y' ELSE 'N' END::varchar AS encoded,
    coalesce(standin.about_table(c.oid) ->> 'diststyle', 'AUTO(ALL)')::varchar AS diststyle,
    coalesce((SELECT standin.real_name(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND standin.about_column(c.oid, a.attnum) ->> 'sortkey' = '1'), 'AUTO(SORTKEY)')::varchar AS sortkey1,
    (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND standin.about_column(c.oid, a.attnum) ? 'sortkey')::int AS sortkey_num,
    ceil(pg_total_relation_size(c.oid) / 1048576.0)::bigint AS size, 0::numeric AS unsorted, 0::numeric AS stats_off,
    greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::numeric(38, 0) AS tbl_rows
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND standin.of_users(n.nspname) AND pg_relation_size(c.oid) > 0;
CREATE VIEW standin.svv_columns AS
  SELECT current_database()::varchar AS table_catalog, nspname::varchar AS table_schema, standin.real_name(relname) AS table_name, standin.real_name(attname) AS column_name,
    attnum::int AS ordinal_position, default_value::varchar AS column_default, CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END::varchar AS is_nullable,
    split_part(type_name, '(', 1)::varchar AS data_type,
    CASE WHEN atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND atttypmod > 0 THEN atttypmod - 4 WHEN atttypid = 'bytea'::regtype THEN standin.varbyte_length(relation, attnum) END AS character_maximum_length,
    CASE atttypid WHEN 'int2'::regtype THEN 16 WHEN 'int4'::regtype THEN 32 WHEN 'int8'::regtype THEN 64 WHEN 'numeric'::regtype THEN ((atttypmod - 4) >> 16) & 65535 END AS numeric_precision,
    CASE atttypid WHEN 'int2'::regtype THEN 0 WHEN 'int4'::regtype THEN 0 WHEN 'int8'::regtype THEN 0 WHEN 'numeric'::regtype THEN (atttypmod - 4) & 2047 END AS numeric_scale
  FROM standin.all_columns;
CREATE VIEW standin.information_schema_columns AS SELECT * FROM standin.svv_columns;
CREATE VIEW standin.svv_redshift_columns AS
  SELECT current_database()::varchar AS database_name, nspname::varchar AS schema_name, standin.real_name(relname) AS table_name, standin.real_name(attname) AS column_name,
    attnum::int AS ordinal_position, type_name AS data_type, default_value::varchar AS column_default, CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END::varchar AS is_nullable,
    coalesce(about ->> 'encoding', 'none')::varchar AS encoding, about ? 'distkey' AS distkey, coalesce((about ->> 'sortkey')::int, 0) AS sortkey,
    NULL::varchar AS column_acl, NULL::varchar AS remarks
  FROM standin.all_columns;
CREATE VIEW standin.pg_table_def AS
  SELECT nspname::varchar AS schemaname, standin.real_name(relname) AS tablename, standin.real_name(attname) AS "column", type_name AS type,
    coalesce(about ->> 'encoding', 'none')::varchar AS encoding, about ? 'distkey' AS distkey, coalesce((about ->> 'sortkey')::int, 0) AS sortkey, attnotnull AS "notnull"
  FROM standin.all_columns WHERE relkind = 'r' AND nspname = ANY (current_schemas(true));
CREATE VIEW standin.svv_tables AS
  SELECT current_database()::varchar AS table_catalog, n.nspname::varchar AS table_schema, standin.real_name(c.relname) AS table_name,
    CASE WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relpersistence = 't' THEN 'LOCAL TEMPORARY' ELSE 'BASE TABLE' END::varchar AS table_type, NULL::varchar AS remarks
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v') AND standin.of_users(n.nspname);
CREATE VIEW standin.information_schema_tables AS SELECT table_catalog, table_schema, table_name, table_type FROM standin.svv_tables;
CREATE VIEW standin.information_schema_schemata AS
  SELECT current_database()::varchar AS catalog_name, nspname::varchar AS schema_name, pg_get_userbyid(nspowner)::varchar AS schema_owner
  FROM pg_namespace WHERE standin.of_users(nspname) AND nspname NOT LIKE 'pg_temp%';
-- One row a lock on a user's table, and one for the transaction itself.
CREATE VIEW standin.svv_transactions AS
  SELECT a.usename::varchar AS txn_owner, a.datname::varchar AS txn_db, coalesce(a.backend_xid::text::bigint, a.backend_xmin::text::bigint, 0) AS xid, l.pid, a.xact_start::timestamp AS txn_start,
    l.mode::varchar AS lock_mode, CASE l.locktype WHEN 'virtualxid' THEN 'transactionid' ELSE l.locktype END::varchar AS lockable_object_type,
    l.relation::int AS relation, l.granted
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid LEFT JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND l.mode <> 'SIReadLock'
    AND (l.locktype IN ('transactionid', 'virtualxid') OR (l.locktype = 'relation' AND c.relkind IN ('r', 'v') AND standin.of_users(n.nspname)));
CREATE VIEW standin.stv_sessions AS
  SELECT backend_start::timestamp AS starttime, pid AS process, usename::varchar AS user_name, datname::varchar AS db_name, 0 AS timeout_sec
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database() AND usename <> 'standin';
CREATE VIEW standin.pg_user AS
  SELECT rolname AS usename, oid::int AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper FROM pg_roles WHERE rolcanlogin AND rolname <> 'standin';
CREATE VIEW standin.pg_group AS
  SELECT substr(rolname, 7) AS groname, oid::int AS grosysid, ARRAY(SELECT m.member::int FROM pg_auth_members m WHERE m.roleid = r.oid) AS grolist
  FROM pg_roles r WHERE rolname LIKE 'group %';
CREATE VIEW standin.stl_load_errors AS
  SELECT 100 AS userid, 0 AS slice, table_id::int AS tbl, at AS starttime, session_id AS session, query_id::int AS query, file_name::varchar AS filename, 0::bigint AS line_number,
    column_name::varchar AS colname, column_type::varchar AS type, column_length::varchar AS col_length, 0 AS position, NULL::varchar AS raw_line,
    NULL::varchar AS raw_field_value, error_code AS err_code, error_message::varchar AS err_reason FROM standin.load_errors;
CREATE VIEW standin.sys_load_error_detail AS
  SELECT 100 AS user_id, query_id, 0::bigint AS transaction_id, session_id, current_database()::varchar AS database_name, table_id::int AS table_id, at AS start_time,
    file_name::varchar AS file_name, 0::bigint AS line_number, column_name::varchar AS column_name, column_type::varchar AS column_type,
    column_length::varchar AS column_length, 0 AS position, error_code, error_message::varchar AS error_message FROM standin.load_errors;
CREATE VIEW standin.stl_load_commits AS
  SELECT 100 AS userid, query_id::int AS query, 0 AS slice, file_name::varchar AS name, file_name::varchar AS filename, line_count AS lines_scanned, 0 AS errors, at AS curtime, 1 AS status
  FROM standin.loaded_files;
CREATE VIEW standin.sys_load_history AS
  SELECT 100 AS user_id, query_id, 0::bigint AS transaction_id, session_id, current_database()::varchar AS database_name, table_name::varchar AS table_name,
    started AS start_time, ended AS end_time, (extract(epoch FROM ended - started) * 1000000)::bigint AS duration, data_source::varchar AS data_source,
    'PARQUET'::varchar AS file_format, loaded_rows, loaded_bytes, file_count AS source_file_count, status::varchar AS status, error_message::varchar AS error_message
  FROM standin.loads;
GRANT SELECT ON ALL TABLES IN SCHEMA standin TO PUBLIC;
REVOKE ALL ON standin.users FROM PUBLIC;
