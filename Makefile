# Two commands from a fresh clone: `make quickstart` and `make test`. Needs Python 3.11 or later, make and a C compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= results/quickstart
# Test processes; each keeps its arithmetic to one thread, so that they do not fight over the cores.
WORKERS ?= auto

.PHONY: help quickstart test test-all lint docs format clean

help:
	@echo "make quickstart  align and evaluate the nano lab; results in $(RESULTS)"
	@echo "make test        run the tests; make test PYTEST=tests/unit/store runs a part of them"
	@echo "make test-all    run the slow ones too: browsers, PostgreSQL, Ray, runs that are killed"
	@echo "make lint        ruff, mypy and the layers of packages"
	@echo "make docs        build the guide as a site in build/site; fails on a link that leads nowhere"
	@echo "make format      let ruff put the code into shape"
	@echo "make clean       remove the environment and what was built"

# Each stamp is made again when a dependency changes; the sources themselves are used where they lie.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: Alignment Prism needs Python 3.11 or later, this is " + sys.version.split()[0] + "\nfix:   make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: $(VENV)/.installed
	$(BIN)/prism quickstart --out $(RESULTS)

# Bytecode is kept: without it each worker and each command under test compiles package and tests anew, 17 s a worker.
RUN_TESTS = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE= \
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

test: $(VENV)/.dev
	$(RUN_TESTS) -m "not slow" $(PYTEST)

test-all: $(VENV)/.dev
	$(RUN_TESTS) $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
