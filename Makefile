# Everything a newcomer needs: `make demo`, `make check`. Python >= 3.11 and make are enough for the first.

PYTHON ?= python3
VENV ?= .venv
DEMO ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
LOCK := --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	--no-header --allow-unsafe --quiet
CODE := broker keys wellknown migrations tests docs

.PHONY: help install check lint types contracts documented test test-postgresql demo bench-quick format lock clean

help:
	@echo 'make demo         the whole story once, then serve (DEMO=once: stop after the story)'
	@echo 'make check        everything that must pass; what .ci/run runs'
	@echo 'make install      the environment of the tests, in $(VENV)'
	@echo 'make test         the tests alone; ARGS=... goes to pytest'
	@echo 'make test-postgresql  the attacks on PostgreSQL and Redis'
	@echo 'make format       format the code, write the tables of the documentation'
	@echo 'make bench-quick  requests per second, latency and CPU of the main requests'
	@echo 'make lock         resolve the dependencies again, with hashes'

install: $(VENV)/.tests

check: install
	.ci/prepare
	$(MAKE) --no-print-directory lint types contracts documented test test-postgresql

lint:
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports --no-cache

documented:
	$(BIN)/python docs/generate.py --check

test: install
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# The attacks and the token endpoint once more, on PostgreSQL and Redis; the tests start both servers themselves.
test-postgresql: install
	BROKER_TEST_ENGINE=postgresql $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(or $(ARGS),tests/attacks tests/tokens tests/flows/test_review.py tests/serve/test_canaries.py)

demo: $(VENV)/.demo
	$(BIN)/python docs/demo/run.py $(if $(filter once,$(DEMO)),--once)

bench-quick: install
	$(BIN)/python tests/bench/quick.py

format: install
	$(BIN)/ruff check --fix-only --quiet $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/python docs/generate.py

lock: .venv-lock/bin/pip-compile
	.venv-lock/bin/pip-compile $(LOCK) --extra server --extra demo --extra build -o requirements.txt pyproject.toml
	.venv-lock/bin/pip-compile $(LOCK) --extra server --extra demo --extra build --extra dev \
		-c requirements.txt -o requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=...'; exit 1; }
	@$(PYTHON) -m venv --help >/dev/null 2>&1 && $(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo 'The module venv is missing: on Debian, apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What runs the broker, and what tests it too. The stamps make a second call do nothing.
$(VENV)/.demo: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.tests: requirements-dev.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements-dev.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

.venv-lock/bin/pip-compile:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.5,<8'
