from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from contracts.batch import Manifest, ManifestEntry, sha256_hex
from contracts.envelope import Op
from contracts.errors import Corrupt, Fenced, OutcomeUnknown, PipelineError, Unavailable, Unfit
from contracts.ledger import Fence
from contracts.position import GtidSet
from contracts.progress import Standing, TableState
from loader.committer import TRIES, Committer, Encode, backoff
from loader.core.changes import OpenChanges, OpenDecodedChanges
from loader.core.cut import Cut, CutReason, OpenBatch
from loader.core.plan import EncodedBatch, Nowhere, QuarantinedValue, StagedLoad, TableBatch, TargetTable
from loader.core.records import Records
from loader.core.shard import Tenure
from tests.loader.actors import Journal, Shelf, Store, Time, encode_all
from tests.loader.core.reading import ITEMS, NOW, ORDERS, PROGRESS, SCHEMA, barrier, open_batch, open_run, row, snapshotting, start

IDS = {ORDERS: "id-1", ITEMS: "id-2"}
BOTH = (row(0), row(0, topic=ITEMS), row(1), barrier(0, orders=2, items=1))


class Bench:
    def __init__(
        self,
        encode: Encode = encode_all,
        *,
        halt_on_bad_row: bool = False,
        open_keys: frozenset[str] = frozenset(),
        ledger_keep: timedelta | None = None,
    ) -> None:
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
            ledger_keep=ledger_keep,
        )

    def commit(self, cut: Cut, keep: Callable[[], None] = lambda: None) -> Tenure:
        after, _, _ = self.committer.commit(self.tenure, cut, IDS, keep)
        return after


def cut_of(*records: object) -> Cut:
    return open_batch(*records).cut(CutReason.AGE, NOW)  # type: ignore[arg-type]  # records of rows and barriers


def test_the_ledger_is_trimmed_once_a_day_behind_a_commit_which_does_not_fail_for_it() -> None:
    bench = Bench(ledger_keep=timedelta(days=90))
    bench.journal.fail("trim", None, Unavailable("the warehouse is in doubt"))
    trimmed = list[float]()
    for hours in (0, 0.9, 1, 2, 24.9, 25, 26, 49):
        bench.clock.at = NOW + timedelta(hours=hours)
        bench.commit(cut_of(*BOTH))
        if bench.journal.effects[-1] != "commit":
            assert bench.journal.effects[-1] == f"trim before {bench.clock.at - timedelta(days=90):%Y-%m-%d %H:%M}"
            trimmed.append(hours)
    assert trimmed == [1, 25, 49]


def test_a_ledger_that_is_kept_for_ever_is_never_trimmed() -> None:
    bench = Bench()
    for hours in (0, 100):
        bench.clock.at = NOW + timedelta(hours=hours)
        bench.commit(cut_of(*BOTH))
        assert bench.journal.effects[-1] == "commit"


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
    bench.tenure = bench.commit(cut_of(row(0), barrier(0, orders=1)))
    bench.journal.effects.clear()
    bench.commit(later_cut(row(1, op=Op.TRUNCATE, schema=""), barrier(1, orders=2)))
    assert bench.journal.effects == ["ensure renewing bare", "commit"]
    (load,) = bench.shelf.plans[-1].loads
    assert (load.truncate, load.staged, load.entry.manifest_key) == (True, None, "")


def test_a_truncate_is_the_first_thing_of_a_table_only_where_its_target_may_be_made() -> None:
    bench = Bench()
    bench.journal.fail("ensure", Unfit("is somebody else's"))
    held = bench.commit(cut_of(row(0, op=Op.TRUNCATE, schema=""), barrier(0, orders=1))).offsets[ORDERS]
    assert bench.journal.effects == ["ensure renewing", "commit"]
    assert (held.state, held.because, held.emptied) == (TableState.PARKED, "is somebody else's", True)


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


def refusing(bench: Bench, *topics: str, times: int = 99, code: str = "XX000", said: str = "Spectrum Scan Error") -> None:
    """COPY of these topics' rows is refused, so many times of each."""
    left, staged = dict.fromkeys(topics, times), bench.shelf.stage

    def stage(loads: Sequence[StagedLoad]) -> None:
        staged(loads)
        for load in loads:
            topic = load.target.topic
            left[topic] = left.get(topic, 0) - 1
            if left[topic] >= 0:
                raise Unavailable(said, code=code, topic=topic, table=load.target.name, manifest=load.manifest_url)

    bench.shelf.stage = stage  # type: ignore[method-assign]  # one method refuses


APART = [*["stage items orders"] * (TRIES - 1), "stage items", "stage orders"]


def test_a_table_whose_copy_alone_is_refused_each_time_is_parked_and_the_others_are_loaded() -> None:
    bench = Bench()
    refusing(bench, ORDERS)
    after = bench.commit(cut_of(*BOTH))
    assert bench.journal.effects[6:] == [*APART, "commit"]
    assert {offset.topic: offset.state for offset in after.offsets.values()} == {ITEMS: TableState.OK, ORDERS: TableState.PARKED}
    manifest = next(key for key in bench.store.objects if "orders" in key and key.endswith("manifest"))
    because = after.offsets[ORDERS].because
    assert f"COPY of s3://lake/{manifest} is refused, and that of other tables is not" in because
    assert because.endswith("and read the table again: streamer snapshot -t shop.orders --resync (Spectrum Scan Error)")


def test_a_copy_that_was_refused_and_is_not_when_it_is_alone_is_committed_with_the_others() -> None:
    bench = Bench()
    refusing(bench, ORDERS, times=TRIES - 1)
    after = bench.commit(cut_of(*BOTH))
    assert bench.journal.effects[6:] == [*APART, "commit"]
    assert {offset.state for offset in after.offsets.values()} == {TableState.OK}


@pytest.mark.parametrize(
    ("topics", "code", "said", "staged"),
    [
        ((ORDERS, ITEMS), "XX000", "Spectrum Scan Error", [*APART[:-2], "stage orders"]),
        ((ORDERS,), "57014", "canceled", APART),
        ((ORDERS,), "XX000", "Spectrum Scan Error Forbidden: HTTP response error code: 403", APART),
    ],
)
def test_a_copy_that_may_not_be_refused_for_its_rows_parks_nothing(topics: Sequence[str], code: str, said: str, staged: list[str]) -> None:
    bench = Bench()
    refusing(bench, *topics, code=code, said=said)
    with pytest.raises(Unavailable, match=said):
        bench.commit(cut_of(*BOTH))
    assert bench.journal.effects[6:] == staged


def test_a_copy_without_others_to_judge_it_by_and_one_refused_now_and_then_park_nothing() -> None:
    alone = Bench()
    refusing(alone, ORDERS)
    with pytest.raises(Unavailable):
        alone.commit(cut_of(row(0), barrier(0, orders=1)))
    bench = Bench()
    bench.journal.fail("commit", Unavailable("1023"))
    refusing(bench, ITEMS, ORDERS, times=3)
    bench.commit(cut_of(*BOTH))
    assert not {"stage items", "stage orders"} & set(bench.journal.effects)


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Fenced("newer"), Corrupt("rows")])
def test_any_other_answer_to_commit_is_never_sent_again(error: PipelineError) -> None:
    bench = Bench()
    bench.journal.fail("commit", error)
    with pytest.raises(type(error)):
        bench.commit(cut_of(row(0), barrier(0, orders=1)))
    assert bench.journal.effects.count("commit") == 1


def test_a_table_that_cannot_follow_is_parked_and_the_others_are_loaded() -> None:
    bench = Bench()
    bench.journal.fail("ensure", Unfit("has a column too many"))
    bench.tenure = bench.commit(cut_of(*BOTH))
    assert bench.journal.effects == ["ensure", "ensure", "put parquet", "put manifest", "stage orders", "commit"]
    (plan,) = bench.shelf.plans
    (passed,) = plan.passed
    assert (passed.topic, passed.because, passed.target) == (ITEMS, "has a column too many", '"shop"."items"')
    assert (passed.entry.records, passed.entry.superseded, passed.entry.applied, passed.entry.manifest_key) == (1, 1, 0, "")
    assert {offset.topic: (offset.state, offset.because, offset.next_offset) for offset in plan.offsets} == {
        ITEMS: (TableState.PARKED, "has a column too many", 1),
        ORDERS: (TableState.OK, "", 2),
    }
    assert sorted(entry.topic for entry in plan.entries) == [ITEMS, ORDERS]


def parked(bench: Bench) -> int:
    """Parks the table of ORDERS, and returns since when it is. Its first row is read."""
    bench.journal.fail("ensure", Unfit("has a column too many"))
    bench.tenure = bench.commit(cut_of(row(0), barrier(0, orders=1)))
    bench.journal.effects.clear()
    return bench.tenure.offsets[ORDERS].state_since_us


def later_cut(*records: Records) -> Cut:
    batch = OpenBatch(PROGRESS, 1, 1, {ORDERS: start(1, next_seq=1)}, open_run)
    for record in records:
        batch.add(record, NOW)
    return batch.cut(CutReason.AGE, NOW)


@pytest.mark.parametrize("standings", [{}, snapshotting(ORDERS, 7)])
def test_rows_of_a_parked_table_are_passed_over_even_while_it_is_read_again(standings: dict[str, Standing]) -> None:
    bench = Bench()
    since = parked(bench)
    bench.tenure = bench.commit(later_cut(row(1), barrier(1, standings=standings, orders=2)))
    assert bench.journal.effects == ["commit"]
    held = bench.tenure.offsets[ORDERS]
    assert (held.state, held.state_since_us, held.because, held.next_seq) == (TableState.PARKED, since, "has a column too many", 2)


def test_a_table_that_was_followed_before_moves_once_when_it_is_parked() -> None:
    bench = Bench()
    bench.tenure = bench.commit(cut_of(row(0), barrier(0, orders=1)))
    bench.journal.fail("ensure", Unfit("has a column too many"))
    bench.commit(later_cut(row(1), barrier(1, standings=snapshotting(ORDERS, 7), orders=2)))
    (moved,) = bench.shelf.plans[-1].offsets
    assert (moved.state, moved.state_since_us) == (TableState.PARKED, 1_000_001)


def test_a_barrier_without_its_rows_leaves_a_table_parked() -> None:
    bench = Bench()
    parked(bench)
    assert bench.commit(later_cut(barrier(1))).offsets[ORDERS].state is TableState.PARKED


def test_a_truncate_ends_a_tables_being_parked_once_it_fits() -> None:
    bench = Bench()
    parked(bench)
    emptied = (row(1, op=Op.TRUNCATE, schema=""), barrier(1, standings=snapshotting(ORDERS, 7), orders=2))
    after = bench.commit(later_cut(*emptied))
    assert bench.journal.effects == ["ensure renewing afresh", "commit"]
    (load,) = bench.shelf.plans[-1].loads
    assert load.truncate
    assert (after.offsets[ORDERS].state, after.offsets[ORDERS].because) == (TableState.SNAPSHOTTING, "")


def test_rows_that_fit_after_a_truncate_that_did_not_take_its_place() -> None:
    # A TRUNCATE is judged by the newest schema announced, and the one that fits is announced with its first row.
    bench = Bench()
    parked(bench)
    bench.journal.fail("ensure", Unfit("still one too many"))
    bench.tenure = bench.commit(later_cut(row(1, op=Op.TRUNCATE, schema=""), barrier(1, standings=snapshotting(ORDERS, 7), orders=2)))
    held = bench.tenure.offsets[ORDERS]
    assert (held.state, held.because, held.emptied) == (TableState.PARKED, "still one too many", True)
    bench.journal.effects.clear()
    cut = later_cut(row(1), barrier(1, orders=2))
    after = bench.commit(cut)
    assert bench.journal.effects[0] == "ensure renewing afresh"
    (load,) = bench.shelf.plans[-1].loads
    assert (load.truncate, load.staged is not None) == (True, True)
    assert (after.offsets[ORDERS].state, after.offsets[ORDERS].emptied) == (TableState.OK, False)
    # Rows that don't fit would be missed by those that do.
    bench.journal.fail("ensure", Unfit("one too many again"))
    again = bench.commit(cut).offsets[ORDERS]
    assert (again.because, again.emptied) == ("one too many again", False)


GONE = "table shop.orders is gone from the warehouse"


def test_a_table_whose_target_is_found_gone_by_the_commit_is_parked_and_the_others_are_loaded() -> None:
    bench = Bench()
    bench.journal.fail("commit", Unfit(GONE, topic=ORDERS))
    after = bench.commit(cut_of(*BOTH))
    assert bench.journal.effects[-3:] == ["stage items orders", "commit", "commit"]
    (plan,) = bench.shelf.plans
    (passed,), (load,) = plan.passed, plan.loads
    assert (load.target.topic, passed.topic, passed.because, passed.target) == (ITEMS, ORDERS, GONE, '"shop"."orders"')
    # What was written of it is in the bucket, and no batch of the ledger.
    assert not any(key.rpartition(".")[0].endswith(f"_{passed.entry.batch_id}") for key in bench.store.objects)
    assert {offset.topic: (offset.state, offset.emptied, offset.next_offset) for offset in after.offsets.values()} == {
        ITEMS: (TableState.OK, False, 1),
        ORDERS: (TableState.PARKED, False, 2),
    }


def test_several_targets_are_found_gone_one_after_the_other() -> None:
    bench = Bench()
    bench.journal.fail("commit", Unfit(GONE, topic=ORDERS), Unavailable("1023"), Unfit("gone, too", topic=ITEMS))
    after = bench.commit(cut_of(*BOTH))
    assert bench.journal.effects[-6:] == ["stage items orders", "commit", "commit", "stage items", "commit", "commit"]
    assert {offset.state for offset in after.offsets.values()} == {TableState.PARKED}
    assert [plan.loads for plan in bench.shelf.plans] == [()]


def test_a_truncate_makes_a_target_again_that_is_gone() -> None:
    bench = Bench()
    bench.journal.fail("commit", Unfit(GONE, topic=ORDERS))
    emptied = (row(0, op=Op.TRUNCATE, schema=""), barrier(0, standings=snapshotting(ORDERS, 7), orders=1))
    after = bench.commit(cut_of(*emptied))
    assert bench.journal.effects == ["ensure renewing", "commit", "ensure renewing afresh", "commit"]
    assert bench.shelf.plans[-1].loads[0].truncate
    assert after.offsets[ORDERS].state is TableState.SNAPSHOTTING


@pytest.mark.parametrize("effect", ["ensure", "commit"])
def test_a_truncate_whose_target_stays_away_parks_it_until_rows_fit(effect: str) -> None:
    bench = Bench()
    bench.journal.fail("commit", Unfit(GONE, topic=ORDERS))
    bench.journal.faults.setdefault(effect, deque([None])).append(Unfit("still is", topic=ORDERS))
    held = bench.commit(cut_of(row(0, op=Op.TRUNCATE, schema=""), barrier(0, orders=1))).offsets[ORDERS]
    assert (held.state, held.because, held.emptied) == (TableState.PARKED, "still is", True)


def test_rows_after_a_truncate_that_their_target_does_not_take_park_it_anew() -> None:
    bench = Bench()
    parked(bench)
    bench.journal.fail("ensure", Unfit("still one too many"))
    bench.tenure = bench.commit(later_cut(row(1, op=Op.TRUNCATE, schema=""), barrier(1, orders=2)))
    bench.journal.fail("commit", Unfit(GONE, topic=ORDERS))
    held = bench.commit(later_cut(row(1), barrier(1, orders=2))).offsets[ORDERS]
    assert (held.state, held.because, held.emptied) == (TableState.PARKED, GONE, False)


def test_a_shard_given_away_after_a_refusal_is_not_committed() -> None:
    bench = Bench()
    bench.journal.fail("commit", Unfit(GONE, topic=ORDERS))

    def keep() -> None:
        if "commit" in bench.journal.effects:
            raise Fenced("given away")

    with pytest.raises(Fenced):
        bench.commit(cut_of(*BOTH), keep)
    assert bench.journal.effects.count("commit") == 1


def test_changes_without_a_target_are_passed_over_and_the_message_is_cut_to_its_column() -> None:
    def nowhere(topic: str, fingerprint: str, next_seq: int, truncate: bool) -> tuple[Nowhere, OpenChanges]:
        return Nowhere(SCHEMA, Unfit("é" * 5000)), OpenDecodedChanges()

    bench = Bench()
    batch = OpenBatch(PROGRESS, 0, 0, {ORDERS: start()}, nowhere)
    batch.add(row(0), NOW)
    batch.add(barrier(0, orders=1), NOW)
    held = bench.commit(batch.cut(CutReason.AGE, NOW)).offsets[ORDERS]
    assert bench.journal.effects == ["commit"]
    assert (held.source_table, held.target_table, held.because) == ("shop.orders", "", "é" * 1000)


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
