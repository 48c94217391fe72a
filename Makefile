# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Each makes its own environment in .venv from the lock file. Python 3.11 or newer: PYTHON=python3.12 make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint soak bench lock clean

demo: $(VENV)/.runtime
	$(BIN)/headwater demo

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest

# the long versions of what is done to workers and brokers, simulated and real
soak: $(VENV)/.dev
	$(BIN)/python -m tests.simulation --schedules 100000
	HEADWATER_SOAK=1 $(BIN)/python -m pytest -s tests/integration -k "chaos or killing"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# all of it and docs/performance.md: make bench ARGS=--write; a part: make bench ARGS="latency --quick"
bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench $(ARGS)

lock:
	uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --group dev pyproject.toml \
	  -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "headwater needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The package itself is installed editable with what the lock file already holds: nothing is fetched unhashed.
$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
