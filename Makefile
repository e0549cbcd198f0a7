# Every target sets up what it needs in .venv; a fresh machine needs Python 3.11+ and pip.

PYTHON ?= python3
export PYTHON
BIN := .venv/bin

# How many tests run at once: five on two processors, since tests that start processes wait for half
# of their time, but no more than eight. `tests/conftest.py` says in which order.
FOR_EACH_CPU = 2.5
# Hardly any of these waits.
quick: FOR_EACH_CPU = 2
JOBS ?= $(shell $(PYTHON) -c 'import os; print(int((os.cpu_count() or 1) * $(FOR_EACH_CPU)))')
SIDE_BY_SIDE = -n $(JOBS) --maxprocesses 8 --dist worksteal
# Tests start the gateway a hundred times, which takes a fourth of the time when Python may keep
# what it has compiled; an environment that forbids it is overruled.
test quick soak: export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup run init test quick soak check fix bench compare sbom audit lock clean

help:
	@echo "make run      serve on config.toml, or a demo without one (ARGS='--workers 2' for more)"
	@echo "make init     write a config.toml to begin with"
	@echo "make quick    most of the tests: without the slow and the soak tests"
	@echo "make test     all tests, on all cores (ARGS='-k stream' for some, JOBS=1 for one core)"
	@echo "make soak     all tests, the soak tests and the random ones at length (SOAK=1)"
	@echo "make check    ruff and strict mypy"
	@echo "make fix      format, and mend what ruff can"
	@echo "make bench    throughput and latency of the streaming core; make compare: against others"
	@echo "make setup    everything for development into .venv"
	@echo "make sbom     the bill of materials, as CycloneDX (ARGS=container for the image's)"
	@echo "make audit    known vulnerabilities of what is locked"
	@echo "make lock     resolve the dependencies anew into requirements/"

.venv/run:
	@scripts/venv .venv requirements/run.txt yes

.venv/dev:
	@scripts/venv .venv requirements/dev.txt yes

.venv/openai2:
	@scripts/venv .venv-openai2 requirements/openai2.txt

.PHONY: .venv/run .venv/dev .venv/openai2 .venv/audit

setup: .venv/dev .venv/openai2

run: .venv/run
	@exec $(BIN)/gateway serve $(ARGS)

init: .venv/run
	@$(BIN)/gateway init

# What the tests need beside Python's packages. What uses apt-get goes one after the other.
.PHONY: .needed/system .needed/clients needed
.needed/system:
	@scripts/postgres >/dev/null
	@scripts/valkey >/dev/null
	@scripts/chromium >/dev/null
	@scripts/deploy-tools

.needed/clients:
	@scripts/clients

# Beside each other: each waits for the network and the disk in its turn.
needed:
	@$(MAKE) --no-print-directory -j 3 setup .needed/system .needed/clients

test: needed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

quick: setup
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not soak" $(ARGS)

soak: needed
	SOAK=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) --timeout 900 $(ARGS)

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev
	$(BIN)/python -m bench $(ARGS)

compare: .venv/dev
	$(BIN)/python -m bench compare $(ARGS)

sbom:
	@$(PYTHON) scripts/sbom $(ARGS)

.venv/audit:
	@scripts/venv .venv-audit requirements/audit.txt

audit: .venv/audit
	@for each in run container dev; do \
		echo "requirements/$$each.txt"; \
		.venv-audit/bin/pip-audit --require-hashes --disable-pip -r requirements/$$each.txt || exit 1; \
	done

lock: .venv/dev
	$(BIN)/python -m pip install --quiet uv
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lock

clean:
	rm -rf .venv .venv-openai2 .venv-audit .venv-tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
