"""Known-bad designs. Each is a small change of the real code or of what the fakes do for it; a simulation that does not find every one of
them proves nothing by finding no fault in the design."""

from tests.simulation.mutants import cut, janitor, mishaps, producer, reading, warehouse

SEEDS_MAX = 500
"""Within so many seeds each must be caught."""

MUTANTS = (*warehouse.MUTANTS, *cut.MUTANTS, *janitor.MUTANTS, *producer.MUTANTS, *reading.MUTANTS, *mishaps.MUTANTS)
