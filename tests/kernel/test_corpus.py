"""A corpus a real server wrote: both decoders give the same bytes however it is cut, and the rows are those SELECT shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import orjson
import pytest

from contracts.progress import InProgress
from contracts.table import Kind, TableId, TableSchema
from contracts.topics import Topics
from devstack.mysql import MysqlServer
from streamer.core.charsets import BINARY, CHARSETS
from streamer.core.events import Type
from streamer.core.gtids import parse_gtid, parse_tagged
from streamer.core.route import TableChoice
from tests.decoders import needs_kernel
from tests.kernel import corpus as written
from tests.kernel.driving import Pace, Start, Told, Whole, both, choices, drive, same, same_whole, whole
from tests.marks import long
from tests.streamer.core.oracle import comparable, expected
from tests.streamer.core.recording import record, run

pytestmark = [pytest.mark.stack, needs_kernel]

CHOSEN = choices({TableId("k", "chosen"): TableChoice(key=("b", "a"))})
TABLES = written.drawn_tables(12)
SMALL = ("types", "dates", "charsets", "json", "drawn", "names", "keys", "shapes", "wide", "split")
LARGE_BYTES = 20_000_000
REPLACEMENT = "\ufffd"

Records = list[tuple[bytes | None, bytes]]


@dataclass
class Corpus:
    """Recordings by chapter, and what both decoders say of each taken whole."""

    recordings: Mapping[str, list[bytes]]
    charsets: frozenset[str]
    bytes_compared: int = 0
    _told: dict[str, list[Told]] = field(default_factory=dict)
    _whole: dict[str, Whole] = field(default_factory=dict)

    def compare(self, name: str, pace: Pace, start: Start | None = None, **settings: Any) -> list[Told]:
        """What both say, which is the same."""
        told = both(self.recordings[name], pace, start, **{"chosen": CHOSEN, **settings})
        self.bytes_compared += whole(told).size_bytes
        return told

    def told(self, name: str) -> list[Told]:
        if name not in self._told:
            self._told[name] = self.compare(name, Pace())
        return self._told[name]

    def whole(self, name: str) -> Whole:
        if name not in self._whole:
            self._whole[name] = whole(self.told(name))
        return self._whole[name]

    def schemas(self, name: str) -> Iterator[tuple[str, TableSchema]]:
        """Topics and schemas in the order of their rows."""
        for kind, *rest in self.told(name):
            if kind == "routed":
                yield rest[0], rest[1]


@pytest.fixture(scope="module")
def corpus(server: MysqlServer) -> Corpus:
    charsets = written.character_sets(server)
    chapters = [*written.complete(charsets, TABLES, LARGE_BYTES), *written.incomplete()]
    return Corpus({chapter.name: record(server, [*written.PREPARE, *chapter.statements]) for chapter in chapters}, charsets)


PACES = {
    "an event a block": Pace(block=1),
    "seven events a block": Pace(block=7),
    "a record a chunk": Pace(stop_at=1),
    "a commit a chunk": Pace(block=50, close_at=0),
    "chunks of 3000 bytes": Pace(block=20, chunk_bytes=3000),
    "anyhow": Pace(seed=1),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("pace", PACES)
def test_both_decoders_say_the_same_however_the_stream_is_cut(corpus: Corpus, name: str, pace: str) -> None:
    same_whole(whole(corpus.compare(name, PACES[pace])), corpus.whole(name))


@pytest.mark.parametrize("seed", long(*map(str, range(2, 12))))
def test_both_decoders_say_the_same_cut_anyhow(corpus: Corpus, seed: str) -> None:
    chance = Random(f"tidemark cut {seed}")
    for name in SMALL:
        pace = Pace(seed=int(seed), chunk_bytes=chance.choice((1, 500, 20_000, 1 << 20)))
        same_whole(whole(corpus.compare(name, pace)), corpus.whole(name))


@pytest.mark.parametrize("seed", long(*map(str, range(2, 12))))
def test_other_tables_and_changes_are_the_same_and_as_select_shows_them(server: MysqlServer, seed: str) -> None:
    tables = written.drawn_tables(30, int(seed))
    chapter = written.drawn(tables, 400, int(seed))
    raws = record(server, [*written.PREPARE, *chapter.statements])
    told = both(raws)
    compare_drawn(server, tables, told)
    same_whole(whole(both(raws, Pace(seed=int(seed)))), whole(told))


@pytest.mark.parametrize("record_bytes_max", [300, 2000, 20_000])
def test_rows_too_large_for_a_record_go_without_their_values_alike(corpus: Corpus, record_bytes_max: int) -> None:
    oversize = 0
    for name in ("types", "keys", "dates", "shapes", "json"):
        told = corpus.compare(name, Pace(block=30), record_bytes_max=record_bytes_max)
        oversize += sum(b'"oversize":' in value for records in whole(told).records.values() for _, value in records)
    assert oversize > 5


@pytest.mark.parametrize("record_bytes_max", [8 << 20, 64 << 20])
def test_rows_of_20_mb_are_the_same(corpus: Corpus, record_bytes_max: int) -> None:
    found = whole(corpus.compare("large", Pace(), record_bytes_max=record_bytes_max))
    sizes = {topic: [len(value) for _, value in records] for topic, records in found.records.items()}
    large = [size for of_topic in sizes.values() for size in of_topic if size > LARGE_BYTES]
    oversize = [orjson.loads(value)["source"].get("oversize", 0) for records in found.records.values() for _, value in records]
    if record_bytes_max < LARGE_BYTES:
        assert (large, len([size for size in oversize if size > LARGE_BYTES])) == ([], 6)
    else:
        assert (len(large), set(oversize)) == (6, {0})


def test_a_row_of_20_mb_is_what_was_inserted(corpus: Corpus) -> None:
    found = whole(drive("kernel", corpus.recordings["large"], record_bytes_max=64 << 20))
    (inserted, *_) = found.records[topic_of("l", "t")]
    assert orjson.loads(inserted[1])["after"] == {"id": 1, "v": 'é"' * (LARGE_BYTES // 3)}
    assert orjson.loads(found.records[topic_of("l", "j")][0][1])["after"]["v"] == f'{{"a": "{"x" * (LARGE_BYTES - 100)}", "b": 1.5}}'


@pytest.mark.parametrize("pace", [Pace(), Pace(stop_at=7_001, close_at=3)])
def test_a_compressed_transaction_of_very_many_rows_is_the_same(corpus: Corpus, pace: Pace) -> None:
    told = corpus.compare("payload", pace)
    assert any(raw[4] == Type.TRANSACTION_PAYLOAD for raw in corpus.recordings["payload"])
    assert whole(told).rows > 25_000
    if pace != Pace():
        same_whole(whole(told), corpus.whole("payload"))
        assert len([step for step in told if step[0] == "chunk" and step[4] is not None]) >= 4


@pytest.mark.parametrize("name", [chapter.name for chapter in written.incomplete()])
def test_what_must_stop_the_stream_stops_both_with_the_same_words(corpus: Corpus, name: str) -> None:
    for pace in (Pace(), Pace(block=1), Pace(seed=3)):
        told = corpus.compare(name, pace)
        kind, error, words = told[-1]
        assert (kind, error) == ("error", "Refused" if name in ("statement", "xa") else "Corrupt")
        assert words
    assert [step for step in told if step[0] == "chunk"], "the row before it is out"


# Taken up again inside a transaction.


def gtid_events(raws: list[bytes]) -> dict[str, int]:
    """Where each transaction begins."""
    found = {}
    for place, raw in enumerate(raws):
        if raw[4] in (Type.GTID, Type.GTID_TAGGED):
            event = (parse_gtid if raw[4] == Type.GTID else parse_tagged)(raw[19:-4])
            found[str(event.gtid)] = place
    return found


def split_points(corpus: Corpus, name: str, count: int) -> Iterator[tuple[list[bytes], Start, dict[str, Records]]]:
    """Streams to be taken up inside a transaction, and the records that are then still to come."""
    raws, told = corpus.recordings[name], drive("kernel", corpus.recordings[name], Pace(block=3, stop_at=1), chosen=CHOSEN)
    begins, full = gtid_events(raws), whole(told).records
    assert (raws[0][4], raws[1][4]) == (Type.ROTATE, Type.FORMAT_DESCRIPTION)
    points = [place for place, step in enumerate(told) if step[0] == "chunk" and step[4] is not None]
    assert points
    for place in Random("tidemark split").sample(points, min(count, len(points))):
        out = whole(told[: place + 1]).records
        in_progress: InProgress = told[place][4]
        start = Start({topic: len(records) for topic, records in out.items()}, in_progress)
        rest = {topic: records[len(out.get(topic, [])) :] for topic, records in full.items()}
        yield raws[:2] + raws[begins[str(in_progress.gtid)] :], start, {topic: records for topic, records in rest.items() if records}


@pytest.mark.parametrize(
    ("name", "count"), [("split", 60), ("drawn", 12), ("json", 10), pytest.param("drawn", 400, marks=pytest.mark.long)]
)
def test_a_transaction_taken_up_again_gives_exactly_the_rest(corpus: Corpus, name: str, count: int) -> None:
    for number, (raws, start, rest) in enumerate(split_points(corpus, name, count)):
        pace = Pace(seed=number) if number % 2 else Pace(block=number)
        told = drive("kernel", raws, pace, start, chosen=CHOSEN)
        same(told, drive("python", raws, pace, start, chosen=CHOSEN))
        found = whole(told)
        corpus.bytes_compared += found.size_bytes
        assert found.error is None
        assert found.records == rest


def test_other_rows_than_those_that_are_out_stop_both(corpus: Corpus) -> None:
    tried = 0
    for raws, start, _ in split_points(corpus, "split", 12):
        assert start.in_progress is not None
        for wrong in (
            replace(start.in_progress, rows_hash="0" * 32),
            replace(start.in_progress, rows_done=start.in_progress.rows_done + 1),
        ):
            told = both(raws, Pace(block=2), replace(start, in_progress=wrong))
            assert told[-1][:2] == ("error", "Corrupt")
            assert "other rows or in another order" in told[-1][2]
        told = both(raws, Pace(block=2), replace(start, in_progress=replace(start.in_progress, rows_done=10_000)))
        assert "but the server now sends only" in told[-1][2]
        tried += 1
    assert tried == 12


# As SELECT shows it.


def topic_of(database: str, table: str) -> str:
    return Topics("corpus").rows(TableId(database, table))


def final(records: Records) -> list[dict[str, Any]]:
    """The rows that the records leave, each `{"after", "raw"}`, by id."""
    state: dict[bytes, dict[str, Any]] = {}
    for key, value in records:
        assert key is not None
        envelope = orjson.loads(value)
        state.pop(key, None)
        if envelope["op"] != "d":
            state[key] = {"after": envelope["after"], "raw": envelope["source"].get("raw", {})}
    return sorted(state.values(), key=lambda row: int(row["after"]["id"]))


def compare_column(server: MysqlServer, view: str, schema: TableSchema, name: str, rows: list[dict[str, Any]]) -> None:
    column = schema.by_name[name]
    truth = expected(server, view, column.kind, unsigned=column.unsigned, length=column.length, fraction=column.fraction)
    if column.kind is Kind.DOUBLE:
        truth = [comparable(column.kind, value) for value in truth]
    assert [comparable(column.kind, row["after"][name]) for row in rows] == truth, f"{view}, {column}"


def test_every_type_is_what_select_shows(server: MysqlServer, corpus: Corpus) -> None:
    records = corpus.whole("types").records
    schemas = dict(corpus.schemas("types"))
    for number, case in enumerate(written.edge_cases()):
        topic = topic_of("types", f"t{number}")
        rows = final(records[topic])
        assert schemas[topic].by_name["v"].kind is case.kind
        assert len(rows) == len(case.literals) - 1
        compare_column(server, f"types.t{number}", schemas[topic], "v", rows)


def test_dates_that_are_none_are_the_text_select_shows(server: MysqlServer, corpus: Corpus) -> None:
    rows = final(corpus.whole("dates").records[topic_of("dates", "t")])
    columns = [f"c{number}" for number in range(len(written.DATE_COLUMNS))]
    with server.connect(init_command="SET time_zone = '+00:00'") as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'CAST({name} AS CHAR)' for name in columns)} FROM dates.t ORDER BY id")
        shown = cursor.fetchall()
    raws = 0
    for row, texts in zip(rows, shown, strict=True):
        for name, text in zip(columns, texts, strict=True):
            if row["after"][name] is None:
                assert row["raw"][name] == text
                raws += 1
            else:
                assert name not in row["raw"]
    assert raws > 60


def test_random_tables_are_what_select_shows(server: MysqlServer, corpus: Corpus) -> None:
    compare_drawn(server, TABLES, corpus.told("drawn"))


def compare_drawn(server: MysqlServer, tables: list[written.Table], told: list[Told]) -> None:
    found = whole(told)
    assert found.error is None
    schemas = {rest[0]: rest[1] for kind, *rest in told if kind == "routed"}
    views = {
        (table.name, name): f"seen.v{number}_{place}" for number, table in enumerate(tables) for place, name in enumerate(table.columns)
    }
    create = [f"CREATE VIEW {view} AS SELECT id, {written.quoted(name)} AS v FROM {table}" for (table, name), view in views.items()]
    run(server, [*written.database("seen"), *create])
    for table in tables:
        topic = topic_of(*table.name.split("."))
        rows = final(found.records[topic])
        assert [row["after"]["id"] for row in rows] == sorted(table.ids)
        assert list(rows[0]["after"]) == [column.name for column in schemas[topic].columns]
        for name in table.columns:
            compare_column(server, views[table.name, name], schemas[topic], name, rows)


def test_documents_updated_in_part_are_what_select_shows(server: MysqlServer, corpus: Corpus) -> None:
    rows = final(corpus.whole("json").records[topic_of("json", "t")])
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, CAST(i AS CHAR), n, CAST(j AS CHAR), CAST(k AS CHAR) FROM json.t ORDER BY id")
        assert [tuple(row["after"].values()) for row in rows] == list(cursor.fetchall())
    assert any(raw[4] == Type.PARTIAL_UPDATE_ROWS for raw in corpus.recordings["json"])


def test_every_character_set_is_what_select_shows_and_never_a_replacement_for_what_has_no_character(
    server: MysqlServer, corpus: Corpus
) -> None:
    assert corpus.charsets == CHARSETS
    records = corpus.whole("charsets").records
    undefined: dict[str, int] = {}
    for name in sorted(CHARSETS - {BINARY}):
        rows = {row["after"]["id"]: row for row in final(records[topic_of("charsets", name)])}
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id, HEX(v), CONVERT(v USING utf8mb4) FROM charsets.{name}")
            shown = cursor.fetchall()
        assert len(shown) == len(rows) >= 50
        for number, code, text in shown:
            after, raw = rows[number]["after"]["v"], rows[number]["raw"]
            if after is None:
                # MySQL shows ? for it, and in tis620 the replacement character; we keep the bytes.
                assert raw == {"v": f"0x{code}"}, f"{name} {code}"
                assert ("?" if name != "tis620" else REPLACEMENT) in text, f"{name} {code}"
                undefined[name] = undefined.get(name, 0) + 1
            else:
                assert (after, raw) == (text, {}), f"{name} {code}"
                assert "?" not in text or "3F" in code, f"{name} {code}"
        labelled = final(records[topic_of("charsets", f"l_{name}")])
        with server.connect() as connection, connection.cursor() as cursor:
            columns = ", ".join(f"CONVERT({column} USING utf8mb4)" for column in "esct")
            cursor.execute(f"SELECT {columns} FROM charsets.l_{name} ORDER BY id")
            assert [tuple(row["after"][column] for column in "esct") for row in labelled] == list(cursor.fetchall())
    assert len(undefined) > 15
    assert sum(undefined.values()) > 300


def test_the_replacement_character_is_only_where_select_shows_it(server: MysqlServer, corpus: Corpus) -> None:
    shown: set[tuple[str, int]] = set()
    for name in written.UNICODE:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM charsets.{name} WHERE CONVERT(v USING utf8mb4) LIKE BINARY CONCAT('%', x'EFBFBD', '%')")
            shown |= {(topic_of("charsets", name), int(row[0])) for row in cursor.fetchall()}
    found = {
        (topic, orjson.loads(value)["after"]["id"])
        for chapter in SMALL
        for topic, records in corpus.whole(chapter).records.items()
        for _, value in records
        if REPLACEMENT.encode() in value or rb"\ufffd" in value.lower()
    }
    assert found == shown
    assert len(shown) >= len(written.UNICODE)


# What the corpus is.


def test_the_corpus_holds_every_type_and_character_set_and_event(corpus: Corpus) -> None:
    names = [*SMALL, "payload"]
    schemas = [schema for name in names for _, schema in corpus.schemas(name)]
    columns = [column for schema in schemas for column in schema.columns]
    kinds = {column.kind for column in columns}
    types = {replace(column, name="", nullable=True) for column in columns}
    wholes = [corpus.whole(name) for name in names]
    events = [raw for raws in corpus.recordings.values() for raw in raws]
    counts = {
        "chapters": len(corpus.recordings),
        "events": len(events),
        "event types": len({raw[4] for raw in events}),
        "event bytes": sum(map(len, events)),
        "records": sum(found.rows for found in wholes),
        "record bytes": sum(found.size_bytes for found in wholes),
        "transactions": sum(found.commits for found in wholes),
        "statements shown": sum(len(found.shown) for found in wholes),
        "schemas": len({schema.fingerprint for schema in schemas}),
        "kinds": len(kinds),
        "column types": len(types),
        "character sets": len({column.charset for column in columns} - {None}),
        "bytes compared": corpus.bytes_compared,
    }
    print(f"\ncorpus: {counts}")
    assert kinds == set(Kind)
    assert {column.charset for column in columns} - {None} == CHARSETS
    assert max(len(schema.columns) for schema in schemas) == 300
    assert {raw[4] for raw in events} >= {
        Type.QUERY,
        Type.ROTATE,
        Type.FORMAT_DESCRIPTION,
        Type.XID,
        Type.TABLE_MAP,
        Type.ROWS_QUERY,
        Type.WRITE_ROWS,
        Type.UPDATE_ROWS,
        Type.DELETE_ROWS,
        Type.PARTIAL_UPDATE_ROWS,
        Type.GTID,
        Type.GTID_TAGGED,
        Type.PREVIOUS_GTIDS,
        Type.XA_PREPARE,
        Type.TRANSACTION_PAYLOAD,
    }
    assert counts["records"] > 40_000
