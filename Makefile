# make venv | demo | test | bench | docs | clean. Needs Python 3.11 or newer and make; everything else is fetched into .venv.

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# The newest Python 3.11 or later that works; PYTHON=… chooses another.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python3.14; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)

# The tests start hundreds of processes: each would compile all of this anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: venv demo test lint types bench docs clean
.DELETE_ON_ERROR:

venv: $(INSTALLED)

# Made again only when what it is made from changed: a second `make venv` costs milliseconds.
$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found: install one, or say make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make virtual environments: install its venv package (on Debian: apt-get install python3-venv)"; exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: venv
	@$(PY) -m examples.demo

test: lint types
	$(PY) -m tests

lint: venv
	$(PY) -m ruff check .

types: venv
	$(PY) -m mypy

# Ray has wheels for some Pythons only: without it the benchmark says so in its row.
bench: venv
	@$(PY) -c 'import distributed' 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check 'dask[distributed]'
	@$(PY) -c 'import ray' 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check ray || true
	$(PY) -m tests.benchmarks.blocks

# The site in out/site: python -m http.server --directory out/site shows it. A link that leads nowhere, or a page that nothing leads to, fails it.
docs: venv
	@$(PY) -c 'import material, mkdocstrings_handlers.python' 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
