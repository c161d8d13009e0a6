"""What Kafka does not hold any more, as errors: each names what is missing and the commands that mend it."""

from contracts.errors import Gone

_ALL = "streamer snapshot --resync with a -t for each of its tables, then loader adopt-topic --all-tables --yes"


def mending(table: str) -> str:
    """The commands that bring a table back whose rows are lost on the way."""
    return f"streamer snapshot -t {table} --resync, then loader adopt-topic -t {table} --yes"


def rows_expired(topic: str, table: str, first: int, stop: int, offset: int) -> Gone:
    """`first` and `stop`: the seqs missing, half-open; `offset`: where the rows after them begin."""
    return Gone(
        f"rows of {topic} with seq {first} to {stop - 1} expired, or were deleted, before they were loaded: {mending(table)}; and raise "
        "kafka.retention_hours",
        fault="kafka_rows_gone",
        topic=topic,
        offset=offset,
        expected_seq=first,
        seq=stop,
    )


def rows_missing(topic: str, table: str, seq: int, end: int) -> Gone:
    """A barrier names rows before `seq`, and the topic ends at offset `end` without them."""
    return Gone(
        f"a barrier names rows of {topic} up to seq {seq - 1}, but the topic ends at offset {end} without them: {mending(table)}",
        fault="kafka_rows_gone",
        topic=topic,
        seq=seq,
        end=end,
    )


def topic_recreated(topic: str, table: str, next_seq: int, loaded_id: str, found_id: str) -> Gone:
    return Gone(
        f"topic {topic} was deleted and made again (id {found_id}, loaded was {loaded_id} up to seq {next_seq - 1}): its offsets name "
        f"other records, and those from seq {next_seq} on may be lost. When none is: loader adopt-topic -t {table}; else "
        f"{mending(table)}",
        fault="topic_recreated",
        topic=topic,
        loaded_topic_id=loaded_id,
        topic_id=found_id,
    )


def topic_shorter(topic: str, what: str, next_offset: int, stable_end: int) -> Gone:
    """`what`: the table, empty for `progress`."""
    return Gone(
        f"topic {topic} ends at offset {stable_end}, but was loaded up to {next_offset}: Kafka lost records it had committed (unclean "
        f"leader election, or a topic that was made again): {mending(what) if what else _ALL}",
        fault="topic_shortened",
        topic=topic,
        next_offset=next_offset,
        stable_end=stable_end,
    )


def barriers_expired(topic: str, next_offset: int, low: int) -> Gone:
    return Gone(
        f"barriers {next_offset} to {low - 1} of {topic} expired before they were read, so nothing proves which rows expired with them: "
        f"{_ALL}; and raise kafka.retention_hours",
        fault="kafka_barriers_gone",
        topic=topic,
        next_offset=next_offset,
        low=low,
    )
