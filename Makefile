# What a developer and CI run. `make demo` and `make test` set up what they need first.
#
#   PYTHON=python3.12 make setup    takes another interpreter, 3.11 or later

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

# Named after what is to be installed, so that a change of the lock, and nothing else, installs anew.
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml requirements.lock | cksum | tr ' ' '-')

# A run of the tests starts hundreds of Python processes, the demo a dozen. Where nothing keeps their bytecode, each compiles all
# of Airflow anew, which is half of what it costs.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup services demo test coverage chaos mutants fuzz fuzz-atheris bench lint format docs lock clean

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: $(STAMP) ## build .venv from the lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("workflow-events needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
ifneq ($(UV),)
	test -x $(BIN)/python || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes --requirement requirements.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
else
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	@rm -f $(VENV)/.installed-*
	@touch $@

services: ## install PostgreSQL, Redis, Chromium, Java and Maven where they are missing and we are root
	@.ci/install-services

demo: setup ## a real Airflow DAG asks a real LangGraph worker, over an embedded broker; DEMO=--store keeps and shows it all
	PYTHONPATH=dags $(BIN)/python -m demo $(DEMO)

test: setup services ## all tests, on every real part that can be had here
	$(BIN)/pytest --numprocesses 2

coverage: setup services ## the same, and which lines and branches they reach (slower: limits of time are less sharp)
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

chaos: setup services ## kill real processes on a seeded schedule and count; CHAOS='--seed 7' runs another one, see docs/chaos.md
	$(BIN)/python -m tests.chaos $(or $(CHAOS),--docs)

mutants: setup ## change the pure modules in every small way and see that a test fails (docs/mutation.md)
	$(BIN)/mutmut run --max-children 2
	$(BIN)/mutmut results

fuzz: setup ## 100,000 messages of rubbish into every topic; FUZZ_MESSAGES and FUZZ_SEED change how many and which
	FUZZ_MESSAGES=$(or $(FUZZ_MESSAGES),100000) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/pytest tests/fuzz

fuzz-atheris: setup ## coverage-guided fuzzing of what reads bytes, for FUZZ_SECONDS (300); needs the package atheris (Linux)
	$(BIN)/python tests/fuzz/atheris_reading.py -max_total_time=$(or $(FUZZ_SECONDS),300)

bench: setup ## measure against named baselines; BENCH='--only curves' measures a part, see docs/benchmarks.md
	$(BIN)/python -m benchmarks $(BENCH)

lint: setup ## ruff, mypy, and the import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: ## renew requirements.lock from pyproject.toml
	$(if $(UV),,$(PYTHON) -m venv .cache/uv && .cache/uv/bin/python -m pip install --quiet uv)
	$(or $(UV),.cache/uv/bin/uv) pip compile pyproject.toml --quiet --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command 'make lock' --output-file requirements.lock

clean: ## remove what was built; .venv too
	rm -rf $(VENV) .cache .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache mutants build dist htmlcov reports site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
