import hashlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.table import TableId
from contracts.topics import Topics

TOPICS = Topics("tm")
PLAIN = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
HOSTILE = st.text(st.sampled_from("ab.-_/ é'\"\x01名"), min_size=1, max_size=64)
TABLES = st.builds(TableId, PLAIN | HOSTILE, PLAIN | HOSTILE)


def disguised(table: TableId) -> TableId:
    """A table whose plain name is the mended one of another, as somebody who wants both to share a topic would call it."""
    true_name = f"{len(table.database)}:{table.database}.{table.name}".encode()
    plain = "".join(c if re.fullmatch(r"[a-zA-Z0-9_-]", c) else "_" for c in table.name)
    return TableId(table.database, f"{plain}-{hashlib.sha256(true_name).hexdigest()[:10]}")


@given(TABLES, TABLES)
@example(TableId("a.b", "c"), TableId("a", "b.c"))
@example(TableId("a", "b.c"), TableId("a", "b_c"))
@example(TableId("a", "x" * 100), TableId("a", "x" * 101))
@example(TableId("a", "we$ird"), disguised(TableId("a", "we$ird")))
def test_two_tables_never_share_a_topic(a: TableId, b: TableId) -> None:
    assert (a == b) == (TOPICS.rows(a) == TOPICS.rows(b))


@given(TABLES)
def test_no_table_whatever_its_name_gets_the_topic_of_its_disguise(table: TableId) -> None:
    assert TOPICS.rows(table) != TOPICS.rows(disguised(table))


@given(TABLES, TABLES)
@example(TableId("a_b", "c"), TableId("a.b", "c"))
def test_a_topic_can_be_of_its_own_database_and_where_it_is_certain_of_no_other(table: TableId, other: TableId) -> None:
    topic = TOPICS.rows(table)
    assert TOPICS.may_be_of(topic, table.database)
    assert not TOPICS.is_certain(topic) or TOPICS.may_be_of(topic, other.database) == (table.database == other.database)


@given(st.from_regex(r"[a-zA-Z0-9_-]{64}", fullmatch=True), TABLES)
def test_every_topic_is_one_kafka_takes(prefix: str, table: TableId) -> None:
    topics = Topics(prefix)
    for topic in (topics.rows(table), topics.progress, topics.position, topics.schemas):
        assert re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", topic)


@given(TABLES)
def test_no_table_gets_a_topic_of_the_pipelines_own(table: TableId) -> None:
    assert TOPICS.rows(table) not in (TOPICS.progress, TOPICS.position, TOPICS.schemas)


def test_a_plain_name_stays_as_it_is() -> None:
    assert TOPICS.rows(TableId("shop", "Order-items_2")) == "tm.shop.Order-items_2"


@pytest.mark.parametrize("prefix", ["", "a.b", "a/b", "ü", "a" * 65, "a\n"])
def test_a_prefix_kafka_or_s3_could_not_carry_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="pipeline prefix"):
        Topics(prefix)
