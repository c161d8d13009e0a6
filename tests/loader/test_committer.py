from collections.abc import Callable
from datetime import timedelta

import pytest

from contracts.batch import Manifest, ManifestEntry, sha256_hex
from contracts.envelope import Op
from contracts.errors import Corrupt, Fenced, OutcomeUnknown, PipelineError, Unavailable
from contracts.ledger import Fence
from contracts.position import GtidSet
from loader.committer import TRIES, Committer, Encode, backoff
from loader.core.cut import Cut, CutReason
from loader.core.plan import EncodedBatch, QuarantinedValue, TableBatch, TargetTable
from loader.core.shard import Tenure
from tests.loader.actors import Journal, Shelf, Store, Time, encode_all
from tests.loader.core.reading import ITEMS, NOW, ORDERS, barrier, open_batch, row, snapshotting

IDS = {ORDERS: "id-1", ITEMS: "id-2"}
BOTH = (row(0), row(0, topic=ITEMS), row(1), barrier(0, orders=2, items=1))


class Bench:
    def __init__(self, encode: Encode = encode_all, *, halt_on_bad_row: bool = False, open_keys: frozenset[str] = frozenset()) -> None:
        self.journal, self.clock = Journal(), Time()
        self.store, self.shelf = Store(self.journal), Shelf(self.journal)
        self.tenure = Tenure.begin(Fence(0, 5, 9, "me", 0, 0, GtidSet(), False, 0), {}, {ORDERS: open_keys}, NOW)
        nonces = iter(f"{n:08x}" for n in range(100))
        self.committer = Committer(
            store=self.store,
            warehouse=self.shelf,
            encode=encode,
            clock=self.clock,
            nonce=lambda: next(nonces),
            jitter=lambda: 0.0,
            halt_on_bad_row=halt_on_bad_row,
        )

    def commit(self, cut: Cut, keep: Callable[[], None] = lambda: None) -> Tenure:
        after, _, _ = self.committer.commit(self.tenure, cut, IDS, keep)
        return after


def cut_of(*records: object) -> Cut:
    return open_batch(*records).cut(CutReason.AGE, NOW)  # type: ignore[arg-type]  # records of rows and barriers


def test_objects_then_staging_then_one_commit_for_all_tables() -> None:
    bench = Bench()
    bench.commit(cut_of(*BOTH))
    objects = ["put parquet", "put manifest"]
    assert bench.journal.effects == ["ensure", "ensure", *objects, *objects, "stage items orders", "commit"]
    assert len(bench.shelf.plans) == 1


def test_a_target_is_told_when_its_table_is_read_anew() -> None:
    bench = Bench()
    bench.commit(cut_of(row(0), row(0, topic=ITEMS), barrier(0, standings=snapshotting(ORDERS, 7), orders=1, items=1)))
    assert bench.journal.effects[:2] == ["ensure", "ensure renewing"]


def test_the_manifest_names_the_object_with_its_size_and_the_ledger_names_the_manifest() -> None:
    bench = Bench()
    bench.commit(cut_of(row(0), barrier(0, orders=1)))
    (data, manifest), (load,) = bench.store.objects, bench.shelf.plans[0].loads
    assert Manifest.decode(bench.store.objects[manifest]) == Manifest((ManifestEntry(f"s3://lake/{data}", len(b"parquet")),))
    assert (load.entry.manifest_key, load.entry.manifest_sha256) == (manifest, sha256_hex(bench.store.objects[manifest]))
    assert load.staged is not None
    assert load.staged.manifest_url == f"s3://lake/{manifest}"
    assert load.key.epoch == load.entry.epoch == 5


def test_a_cut_without_rows_is_one_commit_and_no_object() -> None:
    bench = Bench()
    after = bench.commit(cut_of(barrier(0)))
    assert bench.journal.effects == ["commit"]
    assert after.fence.commit_no == 10


def test_a_truncate_which_names_no_schema_is_committed_without_an_object() -> None:
    bench = Bench()
    bench.commit(cut_of(row(0, op=Op.TRUNCATE, schema=""), barrier(0, orders=1)))
    assert bench.journal.effects == ["commit"]
    (load,) = bench.shelf.plans[0].loads
    assert (load.truncate, load.staged, load.entry.manifest_key) == (True, None, "")


def test_while_nothing_happened_for_certain_the_same_objects_are_staged_and_committed_again() -> None:
    bench = Bench()
    bench.journal.fail("commit", Unavailable("1023"), Unavailable("1023"))
    bench.commit(cut_of(row(0), barrier(0, orders=1)))
    assert bench.journal.effects == ["ensure", "put parquet", "put manifest", *["stage orders", "commit"] * 3]
    assert bench.clock.slept == [timedelta(milliseconds=250), timedelta(milliseconds=500)]


def test_after_eight_tries_it_gives_up() -> None:
    bench = Bench()
    bench.journal.fail("commit", *[Unavailable("1023")] * 99)
    with pytest.raises(Unavailable):
        bench.commit(cut_of(row(0), barrier(0, orders=1)))
    assert bench.journal.effects.count("commit") == TRIES == 8


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Fenced("newer"), Corrupt("rows")])
def test_any_other_answer_to_commit_is_never_sent_again(error: PipelineError) -> None:
    bench = Bench()
    bench.journal.fail("commit", error)
    with pytest.raises(type(error)):
        bench.commit(cut_of(row(0), barrier(0, orders=1)))
    assert bench.journal.effects.count("commit") == 1


@pytest.mark.parametrize("calls", [1, 2])
def test_a_shard_given_away_between_effects_is_not_committed(calls: int) -> None:
    bench, left = Bench(), [calls]

    def keep() -> None:
        left[0] -= 1
        if not left[0]:
            raise Fenced("given away")

    with pytest.raises(Fenced):
        bench.commit(cut_of(*BOTH), keep)
    assert "commit" not in bench.journal.effects


def quarantining(column: str | None) -> Encode:
    def encode(batch: TableBatch, target: TargetTable) -> EncodedBatch:
        kept = QuarantinedValue(batch.topic, 0, 1, '{"id":1}', column, "too long", "x", 1)
        count, whole = len(batch.changes), int(column is None)
        return EncodedBatch(b"parquet", count - whole, count, 0, count - whole, whole, 1 - whole, (kept,))

    return encode


def test_halt_on_bad_row_stops_before_anything_is_stored() -> None:
    bench = Bench(quarantining("note"), halt_on_bad_row=True)
    with pytest.raises(Corrupt, match="on_bad_row says halt"):
        bench.commit(cut_of(row(0), row(1), barrier(0, orders=2)))
    assert bench.journal.effects == ["ensure"]


@pytest.mark.parametrize(("column", "closed"), [("note", ('{"id":0}', '{"id":1}')), (None, ('{"id":0}',))])
def test_open_entries_close_for_keys_whose_row_is_known_again(column: str | None, closed: tuple[str, ...]) -> None:
    bench = Bench(quarantining(column), open_keys=frozenset({'{"id":0}', '{"id":1}', '{"id":77}'}))
    bench.commit(cut_of(row(0), row(1), barrier(0, orders=2)))
    assert bench.shelf.plans[0].loads[0].closes == closed


def test_records_not_accounted_for_are_never_committed() -> None:
    bench = Bench(lambda batch, target: EncodedBatch(b"parquet", 1, 1, 0, 1, 0, 0))
    with pytest.raises(ValueError, match="2 records read, 1 accounted for"):
        bench.commit(cut_of(row(0), row(1), barrier(0, orders=2)))
    assert "commit" not in bench.journal.effects


def test_waits_double_up_to_a_bound_and_jitter_shortens_them() -> None:
    assert [backoff(attempt, 0.0).total_seconds() for attempt in (1, 2, 3, 99)] == [0.25, 0.5, 1, 20]
    assert backoff(2, 0.5) == timedelta(milliseconds=375)
