"""The exact bytes of every wire form. A difference here is a new version of the form, never a refreshed file: what is on Kafka and in S3
was written with the old bytes."""

from pathlib import Path

import pytest

from contracts.batch import BatchKey, Manifest
from contracts.envelope import Envelope, decode_key, encode_key
from contracts.progress import Barrier, Position
from contracts.signals import Signal
from contracts.table import TableSchema
from tests.contracts import specimens

GOLDEN = Path(__file__).parent.parent / "golden" / "wire"

FORMS: dict[str, bytes] = {
    "envelope-update.json": specimens.ENVELOPE.encode(),
    "envelope-delete.json": specimens.DELETE.encode(),
    "message-key.json": encode_key(("größe", "id"), specimens.ROW) or b"",
    "barrier.json": specimens.BARRIER.encode(),
    "barrier-renewing.json": specimens.RENEWING.encode(),
    "position.json": specimens.POSITION.encode(),
    "next-seq.json": specimens.POSITION.encode_topic("tm.shop.orders"),
    "position-reading.json": specimens.READING.encode(),
    "reading.json": specimens.READING.encode_topic("tm.shop.orders"),
    "reading-shaped.json": specimens.SHAPED.encode_topic("tm.shop.orders"),
    "next-seq-shard.json": specimens.SHARED.encode_topic("tm.shop.orders"),
    "asked.json": specimens.ASKED.encode_topic("tm.shop.orders"),
    "signal-keys.json": specimens.KEYS_SIGNAL.encode(),
    "signal-events.json": specimens.EVENTS_SIGNAL.encode(),
    "key-form.txt": specimens.SCHEMA.key_form.encode(),
    "signal.json": specimens.SIGNAL.encode(),
    "schema.json": specimens.SCHEMA.encode(),
    "manifest.json": specimens.MANIFEST.encode(),
    "batch-key.txt": f"{specimens.BATCH_KEY.data}\n{specimens.BATCH_KEY.manifest}".encode(),
    "fingerprint.txt": specimens.SCHEMA.fingerprint.encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_wire_form_has_the_bytes_it_always_had(name: str) -> None:
    assert FORMS[name] == (GOLDEN / name).read_bytes()


def test_every_golden_file_is_compared() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(FORMS)


def test_old_bytes_still_read_as_the_values_they_were_written_from() -> None:
    golden = {path.name: path.read_bytes() for path in GOLDEN.iterdir()}
    assert Envelope.decode(golden["envelope-update.json"]) == specimens.ENVELOPE
    assert Envelope.decode(golden["envelope-delete.json"]) == specimens.DELETE
    assert decode_key(golden["message-key.json"]) == {name: specimens.ROW[name] for name in ("größe", "id")}
    assert Barrier.decode(golden["barrier.json"]) == specimens.BARRIER
    assert Barrier.decode(golden["barrier-renewing.json"]) == specimens.RENEWING
    assert Position.decode({Position.KEY: golden["position.json"], b"tm.shop.orders": golden["next-seq.json"]}) == specimens.POSITION
    assert Position.decode({Position.KEY: golden["position-reading.json"], b"tm.shop.orders": golden["reading.json"]}) == specimens.READING
    assert Position.decode({Position.KEY: golden["position.json"], b"tm.shop.orders": golden["next-seq-shard.json"]}) == specimens.SHARED
    shaped = Position.decode({Position.KEY: golden["position-reading.json"], b"tm.shop.orders": golden["reading-shaped.json"]})
    assert shaped == specimens.SHAPED
    assert Position.decode({Position.KEY: golden["position-reading.json"], b"tm.shop.orders": golden["asked.json"]}) == specimens.ASKED
    assert Signal.decode(golden["signal.json"]) == specimens.SIGNAL
    assert Signal.decode(golden["signal-keys.json"]) == specimens.KEYS_SIGNAL
    assert Signal.decode(golden["signal-events.json"]) == specimens.EVENTS_SIGNAL
    assert TableSchema.decode(golden["schema.json"]) == specimens.SCHEMA
    assert Manifest.decode(golden["manifest.json"]) == specimens.MANIFEST
    assert [BatchKey.parse(line) for line in golden["batch-key.txt"].decode().splitlines()] == [specimens.BATCH_KEY] * 2
