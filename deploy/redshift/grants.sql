-- Three users in the warehouse, each with what its service needs. Put in your own names, passwords and target schemas.
-- Run the loader once before the janitor's and the auditor's part: it makes the schema "tidemark" and its tables.

-- loader: owns the commit tables and the target tables it makes.
CREATE USER tidemark_loader PASSWORD 'Choose-1-password';
GRANT CREATE ON DATABASE dev TO tidemark_loader;

-- janitor: reads the ledger; writes only the mark that an object was removed, and with --fence the epoch. One line of each a shard.
CREATE USER tidemark_janitor PASSWORD 'Choose-2-password';
GRANT USAGE ON SCHEMA tidemark TO tidemark_janitor;
GRANT SELECT ON ALL TABLES IN SCHEMA tidemark TO tidemark_janitor;
GRANT UPDATE ON tidemark.ledger_0 TO tidemark_janitor;
GRANT UPDATE ON tidemark.fence_0 TO tidemark_janitor;

-- auditor: reads the ledger and the target tables.
CREATE USER tidemark_auditor PASSWORD 'Choose-3-password';
GRANT USAGE ON SCHEMA tidemark TO tidemark_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA tidemark TO tidemark_auditor;
GRANT USAGE ON SCHEMA shop TO tidemark_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO tidemark_auditor;
