# Everything a person does with this project. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO ?=
SOAK ?=
BREAKER ?=
SCALE ?=
PROFILE ?= small
SECRETS := $(addprefix docker/secrets/,influx_token influx_password grafana_password postgres_password)
# In the larger composition the watchdog's alerts go to its Alertmanager, unless somebody says otherwise.
WATCHDOG := $(if $(filter scale,$(PROFILE)),GRIDFUSE_WATCHDOG_VIA=$${GRIDFUSE_WATCHDOG_VIA:-prometheus-alertmanager} \
  GRIDFUSE_WATCHDOG_TO=$${GRIDFUSE_WATCHDOG_TO:-http://alertmanager:9093})

.DEFAULT_GOAL := help
.PHONY: help demo test unit check format bench soak soak-sink soak-breaker mutants drills servers up scale clean

help:  ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Gridfuse needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install -y python3-venv"; exit 1; }

$(STAMP): pyproject.toml $(VENV)/bin/python
	@echo "Installing into $(VENV) (the first time takes about a minute) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(STAMP)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## The whole service against a simulated field; the live board opens on http://127.0.0.1:8080 (options: DEMO="--speed 10")
	@$(BIN)/gridfuse demo $(DEMO)

test: $(VENV)/.dev  ## All tests; those that need a server which is not here are skipped with a line saying how to get it
	@# What needs no server shares the processors; what does has them to itself, because real servers and real waiting are timed by them.
	@failed=0; \
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not integration' || failed=1; \
	$(BIN)/python -m pytest -m integration || failed=1; \
	exit $$failed

unit: $(VENV)/.dev  ## The fast tests only
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not integration and not slow' tests/unit tests/test_tidy.py

check: $(VENV)/.dev  ## Formatting, lint, types, who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev  ## Format the sources
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

drills: $(STAMP)  ## Play every drill file
	@$(BIN)/gridfuse drill tests/drills/*.yaml

bench: $(VENV)/.dev  ## Measure; results are ratios to a named reference in the same run (half an hour, 6 GB of disk)
	@for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python -m $$(echo $${bench%.py} | tr / .) || exit 1; done

soak: $(VENV)/.dev  ## Ten minutes at full rate with InfluxDB away half of the time: nothing lost, nothing grows (options: SOAK="--minutes 60")
	@$(BIN)/python -m tests.bench.soak $(SOAK)

soak-sink: $(VENV)/.dev  ## Ten minutes without InfluxDB, kills on both sides, a full spool disk: every point there, by query (options: SINK="--away 60")
	@$(BIN)/python -m tests.bench.soak_sink $(SINK)

soak-breaker: $(VENV)/.dev  ## Ten minutes of stories told to the market breaker, each step held to its invariants (options: BREAKER="--minutes 60 --seed 7")
	@$(BIN)/python -m tests.bench.soak_breaker $(BREAKER)

mutants: $(VENV)/.dev  ## Flip each comparator, constant and guard of the machines: does a test notice? (hours; MUTANTS="market/duties.py --own")
	@$(BIN)/python scripts/mutants.py $(MUTANTS)

servers:  ## Install the real servers that the integration tests use, into .servers
	@scripts/servers.sh

up: $(SECRETS)  ## Gridfuse, InfluxDB and Grafana in containers, needs Docker (PROFILE=scale: with Kafka, four processes, PostgreSQL, Alertmanager)
	@$(WATCHDOG) docker compose -f docker/compose.yaml --profile $(PROFILE) up --build --wait

# Whoever may enter the folder may read them; the services in the containers are other users than you, so the files must be open to all.
$(SECRETS):
	@mkdir -p $(@D) && chmod 700 $(@D)
	@head -c 32 /dev/urandom | base64 | tr -d '+/=\n' > $@ && chmod 644 $@
	@echo "$@ was made up; keep it"

scale: $(STAMP)  ## The processes of `make up PROFILE=scale` without Docker, from what `make servers` installs (options: SCALE="--points FILE")
	@$(BIN)/python -c 'import psycopg' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[postgres]'
	@$(BIN)/python scripts/scale.py $(SCALE)

clean:  ## Remove the virtual environment, caches and the demo's data
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache gridfuse-demo
