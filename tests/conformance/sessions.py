"""Two sessions' cases: what one sees of the other, who waits for whom, and who is refused. The loader's fence stands on these."""

from tests.conformance.case import Case, Count, Done, Isolation, Refused, Rows
from tests.conformance.statements import TWO, T

FENCE = "CREATE TABLE {s}.fence (shard INT NOT NULL, epoch BIGINT NOT NULL, commit_no BIGINT NOT NULL)"
HELD = "INSERT INTO {s}.fence VALUES (0, 3, 7)"
MOVE = "UPDATE {s}.fence SET commit_no = commit_no + 1 WHERE shard = 0 AND epoch = 3 AND commit_no = 7"
TAKE = "UPDATE {s}.fence SET epoch = epoch + 1 WHERE shard = 0"
IMPATIENT = "2: SET statement_timeout TO 500"
MADE = (T, TWO, "CREATE TABLE {s}.u (id BIGINT)", "COMMIT")
COUNT = "SELECT COUNT(*) FROM {s}.t"
HOLDERS = (
    "2: SELECT COUNT(DISTINCT x.pid) FROM svv_transactions AS x JOIN pg_class AS c ON c.oid = x.relation"
    " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = '{s}' AND c.relname = 'fence'"
    " AND x.granted AND x.lock_mode <> 'AccessShareLock' AND x.pid <> pg_backend_pid()"
)

SESSIONS: tuple[Case, ...] = (
    # the fence
    Case("a compare-and-set touches its row", "r_UPDATE", (FENCE, HELD, "COMMIT", MOVE), Count(1)),
    Case("and none the second time", "r_UPDATE", (FENCE, HELD, MOVE, "COMMIT", "2: " + MOVE), Count(0)),
    Case("nor after a takeover", "r_UPDATE", (FENCE, HELD, "COMMIT", "2: " + TAKE, "2: COMMIT", MOVE), Count(0)),
    Case(
        "who wants a row that another has written waits, for as long as statement_timeout",
        "statement_timeout",
        (FENCE, HELD, "COMMIT", MOVE, IMPATIENT, "2: " + TAKE),
        Refused("57014"),
    ),
    Case(
        "who has rolled back holds nobody up",
        "r_ROLLBACK",
        (FENCE, HELD, "COMMIT", MOVE, "ROLLBACK", IMPATIENT, "2: " + TAKE),
        Count(1),
    ),
    Case(
        "who asks before anything else sees what was committed before",
        "c_serial_isolation",
        (FENCE, HELD, "COMMIT", MOVE, "COMMIT", "2: " + TAKE, "2: SELECT epoch, commit_no FROM {s}.fence"),
        Rows([[4, 8]]),
    ),
    Case("who holds a table's lock is in svv_transactions", "SVV_TRANSACTIONS", (FENCE, HELD, "COMMIT", MOVE, HOLDERS), Rows([[1]])),
    Case("and only while he holds it", "SVV_TRANSACTIONS", (FENCE, HELD, "COMMIT", MOVE, "ROLLBACK", HOLDERS), Rows([[0]])),
    Case(
        "a user ends his own sessions, and what they held is free",
        "PG_TERMINATE_BACKEND",
        (FENCE, HELD, "COMMIT", MOVE, "2: SELECT pg_terminate_backend({pid})", "2: SET statement_timeout TO 5000", "2: " + TAKE),
        Count(1),
    ),
    # snapshots
    Case("BEGIN takes no snapshot", "c_serial_isolation", (*MADE, "SET timezone TO 'UTC'", "2: " + TWO, "2: COMMIT", COUNT), Rows([[4]])),
    Case("nor does a LOCK", "c_serial_isolation", (*MADE, "LOCK {s}.u", "2: " + TWO, "2: COMMIT", COUNT), Rows([[4]])),
    Case(
        "the first SELECT of a table does, and it stays",
        "c_serial_isolation",
        (*MADE, "SELECT COUNT(*) FROM {s}.u", "2: " + TWO, "2: COMMIT", COUNT),
        Rows([[2]]),
    ),
    Case("a writer holds no reader up", "c_serial_isolation", (*MADE, TWO, "2: SET statement_timeout TO 5000", "2: " + COUNT), Rows([[2]])),
    Case(
        "a temp table is its session's own",
        "r_CREATE_TABLE_NEW",
        ("CREATE TEMP TABLE mine (a INT)", "COMMIT", "2: SELECT * FROM mine"),
        Refused("42P01"),
    ),
    # conflicts
    Case(
        "write skew is committed under snapshot isolation",
        "c_serial_isolation",
        (*MADE, COUNT, "2: SELECT COUNT(*) FROM {s}.u", "INSERT INTO {s}.u VALUES (1)", "COMMIT", "2: INSERT INTO {s}.t VALUES (3, 'c')"),
        Done(),
        isolation=Isolation.SNAPSHOT,
        at_commit=True,
    ),
    Case(
        "and is error 1023 when serializable",
        "c_serial_isolation",
        (*MADE, COUNT, "2: SELECT COUNT(*) FROM {s}.u", "INSERT INTO {s}.u VALUES (1)", "COMMIT", "2: INSERT INTO {s}.t VALUES (3, 'c')"),
        Refused("XX000", "1023"),
        isolation=Isolation.SERIALIZABLE,
        at_commit=True,
    ),
    Case(
        "who changes a row that was changed since his snapshot is refused",
        "open",
        (*MADE, COUNT, "2: UPDATE {s}.t SET v = 'x'", "2: COMMIT", "UPDATE {s}.t SET v = 'y'"),
        Refused("XX000", "1023"),
        at_commit=True,
    ),
    Case(
        "who locked the table first is not",
        "r_LOCK",
        (*MADE, "2: UPDATE {s}.t SET v = 'x'", "2: COMMIT", "LOCK {s}.t", "UPDATE {s}.t SET v = 'y'"),
        Count(2),
    ),
    Case(
        "a LOCK waits for who writes",
        "r_LOCK",
        (*MADE, TWO, IMPATIENT, "2: LOCK {s}.t"),
        Refused("57014"),
    ),
    Case(
        "an ALTER waits for who reads",
        "open",
        (*MADE, COUNT, IMPATIENT, "2: ALTER TABLE {s}.t ADD COLUMN a INT"),
        Refused("57014"),
    ),
    Case(
        "TRUNCATE commits what was written before it, for everybody",
        "r_TRUNCATE",
        (*MADE, TWO, "TRUNCATE {s}.u", "2: " + COUNT),
        Rows([[4]]),
    ),
)
