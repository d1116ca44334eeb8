# `make demo` and `make test` need only Python 3.11 or newer. The README lists the commands for a machine without make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
PYTHON := python
endif
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: demo test lint types layers unit format clean

demo: $(VENV)/.installed
	$(BIN)/phenoprint demo

test: lint types layers unit

$(VENV)/.created:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Phenoprint needs Python 3.11 or newer; this is ' + sys.version)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch()"

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing into $(VENV) (a minute or two)"
	$(PIP) -e .
	$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch()"

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing into $(VENV) with the test tools (a minute or two)"
	$(PIP) -e ".[test]"
	$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch(); pathlib.Path('$(VENV)/.installed').touch()"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports

# Each worker of the tests has a core of its own; threads of BLAS would only wait for each other.
unit: export OMP_NUM_THREADS = 1
unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in ('$(VENV)', 'demo', '.pytest_cache', '.mypy_cache', '.ruff_cache', '.hypothesis')]"
