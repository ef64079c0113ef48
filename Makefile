# Everything sets itself up: `make demo` and `make test` work from a fresh clone with Python 3.11 and no root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SERVICES := $(VENV)/.services
PROFILE ?= demo
SET ?=
export TRANSUMANZA_PROFILE ?= $(PROFILE)
export TRANSUMANZA_SET ?= $(SET)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test test-services ui lint bench clean

setup: $(READY)

# editable_mode=compat: a plain path entry, so that a folder named `training` where a command runs does not hide the package.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Transumanza needs Python 3.11 or newer, and " + sys.version.split()[0] + " is " + sys.executable + "; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[all,dev]'
	@touch $@

demo: $(READY)
	@lines="$$($(BIN)/transumanza env)" && eval "$$lines" && exec $(BIN)/transumanza demo

test: $(READY)
	$(BIN)/python -m pytest

$(SERVICES): $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[services]'
	@touch $@

test-services: $(SERVICES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m services

ui: $(READY)
	@lines="$$($(BIN)/transumanza env)" && eval "$$lines" && exec $(BIN)/dagster-webserver --module-name dagster_project.definitions --host 127.0.0.1 --port $${PORT:-3000}

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

BENCH := $(VENV)/.bench
$(BENCH): $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[bench]'
	@touch $@

bench: $(BENCH)
	@for path in $(wildcard benchmarks/corpus_*.py) $(addprefix benchmarks/,translation.py training.py warehouse.py); do $(BIN)/python -m benchmarks.$$(basename $$path .py) --json || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
