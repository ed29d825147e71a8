# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint browser pictures clean

demo: $(VENV)/demo.installed ## Train an ensemble on real digits, find its hotspots, open the explorer
	$(BIN)/vaefrag demo $(ARGS)

# Tests that watch how soon engines and pages do a thing have the machine to themselves; the others run side by side.
ALONE := $(addprefix tests/jobs/test_,engine.py worker_node.py job_store.py slots.py) tests/browser

test: lint browser ## Every check and every test
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile $(ALONE:%=--ignore=%)
	$(BIN)/python -m pytest $(ALONE)
endif

lint: $(VENV)/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

browser: ## The browser that the tests drive
	@command -v chromium >/dev/null || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q chromium; \
	  else \
	    echo "The browser tests need the program chromium. Install it (Debian: sudo apt-get install chromium)." >&2; exit 1; \
	  fi; }

pictures: $(VENV)/test.installed browser ## Take the pictures of the documentation anew
	$(BIN)/python docs/pictures.py $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/test.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e ".[test,dev]"
	@touch $@ $(VENV)/demo.installed

clean:
	rm -rf $(VENV) build *.egg-info
