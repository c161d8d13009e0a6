# Needs only make and Python 3.11 or newer: `make setup`, then `make up`. PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
UV := 0.13.9
SEEDS ?= 2000

.PHONY: help setup up down status check test test-long faults sim fuzz-ddl types chaos drill-snapshot conformance demo bench-streamer bench-snapshot bench-loader bench-pipeline bench-janitor lock clean
.DEFAULT_GOAL := help

help:
	@echo "make setup      the virtual environment in $(VENV), every package pinned by hash"
	@echo "make up         MySQL, Kafka, S3 and the Redshift stand-in on this machine; make status, make down"
	@echo "make demo       the whole pipeline at work, with a crash in the middle; KEEP=1 leaves it running"
	@echo "make check      ruff, mypy, import rules"
	@echo "make test       the tests; make test-long runs kills, seeds and drills"
	@echo "make sim        the commit protocol under SEEDS=2000 seeded schedules of faults"
	@echo "make faults     every fault of a failover or a gap on real servers, how it was detected and mended, as a table"
	@echo "make fuzz-ddl   DDL and DML of SEEDS=200 seeds through the whole pipeline, MySQL and the warehouse compared after each"
	@echo "make chaos      CYCLES=40 faults on the real servers under traffic, seeded by SEED=1; every row compared"
	@echo "make drill-snapshot  a table of 2 million rows read while it changes and the streamer is killed 30 times"
	@echo "make types      every type of MySQL through the whole pipeline, VALUES=50 random ones a column, each compared with what SELECT gives"
	@echo "make bench-streamer  throughput, latency and memory of the streamer; ARGS=\"--scale 0.1 --runs 1\" for a quick look"
	@echo "make bench-snapshot  a table read while it changes: throughput, and how late the stream is meanwhile"
	@echo "make bench-loader    throughput and memory of the loader, Kafka to Parquet on S3"
	@echo "make bench-pipeline  MySQL to rows in the stand-in: throughput, freshness, a thousand tables"
	@echo "make bench-janitor  seconds and memory of the janitor over a hundred thousand objects"
	@echo "make conformance  the stand-in's statements, against a real cluster when TIDEMARK_CONFORMANCE_HOST names one"
	@echo "make lock       remakes the lock files from pyproject.toml"

setup: $(READY)

# Touched last, so an interrupted set-up is done again; older than a lock, pyproject.toml or the kernel's sources, it is done again too.
KERNEL := $(shell find kernel -name target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)
$(READY): requirements-dev.lock pyproject.toml $(KERNEL)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: need Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
		echo "make: install one and name it: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "make: '$(PYTHON)' has no venv module. On Debian and Ubuntu: sudo apt-get install -y python3-venv" >&2; exit 2; }
	@$(RUN) -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@$(RUN) -c 'import tidemark_kernel' 2>/dev/null || echo "make: the kernel was not built, so events are decoded in Python, more slowly. With Rust's cargo installed: make clean setup"
	@touch $@

# A cargo too old for the kernel is as good as none.
KERNEL_BUILT = command -v cargo >/dev/null && $(RUN) -c 'import tidemark_kernel' 2>/dev/null

up: setup
	$(RUN) -m devstack up

down: setup
	$(RUN) -m demo --down
	$(RUN) -m devstack down

status: setup
	$(RUN) -m devstack status

check: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	@if $(KERNEL_BUILT); then cd kernel && cargo fmt --check && cargo clippy --locked --all-targets --no-default-features -- -D warnings; fi

# Two workers, each with servers of its own: the stack tests wait more than they work.
TEST := -m pytest -n 2 --dist loadfile
test: setup
	@if $(KERNEL_BUILT); then cd kernel && cargo test --quiet --locked --no-default-features; fi
	$(RUN) $(TEST) -m "not long"

test-long: setup
	$(RUN) $(TEST) -m long --timeout 1200

faults: setup
	$(RUN) -m tests.faults

sim: setup
	$(RUN) -m tests.simulation --seeds $(SEEDS)

fuzz-ddl: SEEDS := $(if $(filter file,$(origin SEEDS)),200,$(SEEDS))
fuzz-ddl: setup
	$(RUN) -m tests.fuzz --seeds $(SEEDS)

CYCLES ?= 40
SEED ?= 1
chaos: setup
	$(RUN) -m tests.chaos --cycles $(CYCLES) --seed $(SEED)

drill-snapshot: setup
	$(RUN) -m tests.drills.snapshot $(ARGS)

types: VALUES ?= 50
types: setup
	$(RUN) -m tests.types --values $(VALUES)

conformance: setup
	$(RUN) -m pytest tests/conformance

demo: setup
	$(RUN) -m demo $(if $(KEEP),--keep)

bench-streamer: setup
	$(RUN) -m benchmarks.streamer $(ARGS)

bench-snapshot: setup
	$(RUN) -m benchmarks.snapshot $(ARGS)

bench-loader: setup
	$(RUN) -m benchmarks.loader $(ARGS)

bench-pipeline: setup
	$(RUN) -m benchmarks.pipeline $(ARGS)

bench-janitor: setup
	$(RUN) -m benchmarks.janitor $(ARGS)

# One resolution for every supported Python and platform. The order matters: what ships constrains what tests.
COMPILE = $(RUN) -m uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-header --quiet
lock: setup
	$(RUN) -m pip install --quiet uv==$(UV)
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) --group servers -c requirements-dev.lock -o requirements-servers.lock

clean:
	rm -rf $(VENV) build dist kernel/target *.so *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
