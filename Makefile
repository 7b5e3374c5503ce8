# Ten targets at most. `make` alone says what there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint wheel-test simulate bench pins clean

help:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Everything installed is pinned by hash in requirements.txt; the checkout itself is installed in place.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## the whole journey in a minute, on this machine alone
	$(BIN)/syncline demo

test: $(READY) ## every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel-test: $(READY) ## the tests against the built wheel in a fresh environment
	PYTHON=$(PYTHON) .ci/wheel-test

simulate: $(READY) ## 20,000 histories of weeks of runs, faults and kills, on every core
	$(BIN)/python -m tests.simulation.many --seeds 20000

bench: $(READY) ## figures of speed and memory, beside plain scripts and dlt; into README and docs
	$(BIN)/python -m benchmarks.bench --publish

pins: ## rewrite requirements.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.txt

clean: ## remove what make made
	rm -rf $(VENV) build dist *.egg-info
