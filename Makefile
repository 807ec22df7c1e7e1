# `make demo` distils the embedded data set, scores it and writes a report; `make test` passes the tests;
# `make docs` builds the pages into site/.
# Each makes the environment it needs in .venv when it is not there yet.

PYTHON ?= python3
OUT ?= runs/first
BIN := .venv/bin

.PHONY: demo test lint docs

demo: .venv/ready-demo
	$(BIN)/limbeck distill avdd --data digits --per-class 1 --out $(OUT)
	$(BIN)/limbeck evaluate $(OUT) --whole
	$(BIN)/limbeck report $(OUT)

test: .venv/ready-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

lint: .venv/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: .venv/ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/ready-demo: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[digits]'
	touch $@

.venv/ready-dev: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@
