"""`python -m tests.simulation --seeds N` runs seeds 0 to N - 1 and every mutant; `--from F` begins at seed F, and `--no-mutants` leaves the
mutants out, so that many seeds can be run in pieces. `--seed S` runs one seed, with `--trace` step by step; `--placed` every placement of
two faults in one small schedule. The last line is one JSON object. Exit code 1 when an invariant broke or a mutant got through."""

import argparse
import sys

import orjson

from tests.simulation.explore import explore, hunt, told
from tests.simulation.mutants import MUTANTS
from tests.simulation.placed import place_all, told_placed
from tests.simulation.world import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many schedules (default 1000)")
    parser.add_argument("--from", type=int, default=0, metavar="F", dest="first", help="the first of them (default 0)")
    parser.add_argument("--no-mutants", action="store_true", help="schedules of the design alone")
    parser.add_argument("--placed", action="store_true", help="instead: every placement of two faults in one small schedule")
    parser.add_argument("--seed", type=int, metavar="S", help="only this one")
    parser.add_argument("--trace", action="store_true", help="print what happens, step by step")
    options = parser.parse_args()
    if options.seed is not None:
        if options.trace:
            print(told(options.seed))
        one = run(options.seed)
        for violation in one.violations:
            print(violation)
        print(orjson.dumps({"seeds": 1, "violations": len(one.violations), "steps": one.steps}).decode())
        return 1 if one.violations else 0
    if options.placed:
        placed = place_all()
        for placement, _ in placed.failed[:5]:
            print(told_placed(placement))
        print(orjson.dumps({"placements": placed.placements, "violations": len(placed.failed)}).decode())
        return 1 if placed.failed else 0
    report = explore(range(options.first, options.first + options.seeds))
    mutants = {} if options.no_mutants else hunt()
    if options.trace:
        for effect, kind, count in report.hits_by_kind():
            print(f"{effect:32} {kind:6} {count}")
    for name, outcome in mutants.items():
        print(f"{name}: {f'seed {outcome.seed}, {outcome.broke}' if outcome else 'GOT THROUGH'}")
    for failed in report.failed[:5]:
        print(told(failed.seed))
    caught = sum((outcome := mutants.get(mutant.name)) is not None and mutant.given_away(outcome) for mutant in MUTANTS)
    told_last = {
        "seeds": report.seeds,
        "from": options.first,
        "violations": len(report.failed),
        "schedules_per_s": round(report.schedules_per_s, 1),
        "effects_hit_min": report.effects_hit_min,
        "mutants_caught": caught,
        "mutants": len(mutants),
    }
    print(orjson.dumps(told_last).decode())
    return 1 if report.failed or caught < len(mutants) else 0


if __name__ == "__main__":
    sys.exit(main())
