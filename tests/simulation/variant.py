"""What of the design is changed in a schedule, and how the schedule ended."""

from collections import Counter
from dataclasses import dataclass, field

from janitor.service import Janitor
from loader.committer import Committer
from loader.service import Loader
from tests.fakes.kafka_clients import FakeSink
from tests.fakes.ledger import FakeLedger
from tests.fakes.object_store import FakeBatchStore
from tests.fakes.warehouse import FakeWarehouse
from tests.simulation.audit import BUG, Violation
from tests.simulation.risks import Risks


@dataclass(frozen=True)
class Variant:
    """What of the design is changed, for the mutants. The default is the design."""

    name: str = "design"
    warehouse: type[FakeWarehouse] = FakeWarehouse
    loader: type[Loader] = Loader
    janitor: type[Janitor] = Janitor
    ledger: type[FakeLedger] = FakeLedger
    committer: type[Committer] = Committer
    store: type[FakeBatchStore] = FakeBatchStore
    sink: type[FakeSink] = FakeSink
    patches: tuple[tuple[object, str, object], ...] = ()
    """Attributes of the real code that are other ones while this variant runs: owner, name, value."""
    risks: Risks = field(default_factory=Risks)
    streams: bool | None = None
    """Whether the streamer itself runs, or what stands in for it; None: some schedules have the one, some the other."""
    shards: int | None = None
    shows: tuple[str, ...] = ()
    """What comes of the wrong design: violations by name, HALT where a service notices by itself, STUCK where nobody can go on."""

    def given_away(self, outcome: "Outcome") -> bool:
        """Whether an outcome shows what is wrong with it. A bug of the variant, or of what runs it, shows nothing."""
        return not outcome.names.isdisjoint(self.shows) and BUG not in outcome.names


DESIGN = Variant()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a schedule ended. `hits`: how often each effect met each fate; `lossy`: which effects there were, and whether they can lose an
    answer."""

    seed: int
    violations: tuple[Violation, ...]
    steps: int
    hits: Counter[tuple[str, str]]
    lossy: dict[str, bool]
    trace: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        """Of the violations."""
        return frozenset(violation.name for violation in self.violations)

    @property
    def broke(self) -> str:
        """The names for who reads them."""
        return ", ".join(sorted(self.names))
