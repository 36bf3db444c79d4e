# Each target does its own set-up: Python 3.11 or later, make and git are all it takes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := .ci/requirements-dev.txt
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
BENCH_LOCK := .ci/requirements-bench.txt
RESOLVE := uv pip compile pyproject.toml --all-extras \
	--universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" --quiet
# sqlc looks its plugin up on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The tests wait for servers more than they work.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# What a pooler does not change: arguments that are refused before, and the quality of an index.
NOT_POOLED := bad_input.py hostile_input.py limits.py memory_search.py

.PHONY: help demo test soak unit lint types generate verify check lock licences bench clean

help: ## Say what there is.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(READY) ## Start an embedded PostgreSQL, migrate it, and run `agentrows demo` on it.
	@agentrows demo

test: lint types unit ## Run every test against a real PostgreSQL, with types and lint.

unit: $(READY) ## Run the tests alone.
	pytest -q -n auto --dist loadfile
	pytest -q -n auto --dist loadfile --pooler tests/integration/stores \
		$(addprefix --ignore=tests/integration/stores/test_,$(NOT_POOLED))

soak: $(READY) ## Run every fault, the races 20 times each.
	AGENTROWS_ROUNDS=20 pytest -q tests/faults tests/integration/stores/test_hostile_input.py
	pytest -q --pooler tests/integration/stores

lint: $(READY) ## Check style and format.
	ruff check .
	ruff format --check .

types: $(READY) ## Check types with two checkers.
	mypy
	pyright --warnings

generate: $(READY) ## Write src/agentrows/gen from migrations/ and queries/.
	sqlc generate

verify: $(READY) ## Generated code is fresh, frozen migrations are untouched, policy holds.
	sqlc diff
	python tests/policy/checks/freshness.py
	python tests/policy/checks/immutability.py
	PYTHONPATH=tests python -m policy.checks.contraction
	pytest -q -n auto tests/policy

check: verify test ## Everything that a change must pass.

lock: $(READY) ## Resolve the development dependencies anew.
	$(RESOLVE) --group dev --upgrade --output-file $(LOCK)
	$(RESOLVE) --group bench --upgrade --output-file $(BENCH_LOCK)

licences: $(READY) ## List the licences of all dependencies in docs/licences.md.
	python tests/policy/checks/licences.py > docs/licences.md.new
	mv docs/licences.md.new docs/licences.md

bench: $(BENCH_READY) ## Measure against other libraries; BENCH=get_session,growth: some of it, ROUNDS=9: longer.
	$(BENCH_VENV)/bin/python benchmarks/run.py $(if $(BENCH),--only $(BENCH)) $(if $(ROUNDS),--rounds $(ROUNDS))
	$(if $(BENCH),,$(BENCH_VENV)/bin/python benchmarks/report.py)

clean: ## Remove what the targets made.
	rm -rf $(VENV) $(BENCH_VENV) .cache build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml $(LOCK)
	@echo "making the environment in $(VENV), which takes half a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement $(LOCK)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_READY): pyproject.toml $(BENCH_LOCK)
	@echo "making the environment of the benchmarks in $(BENCH_VENV), which takes a minute"
	@$(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --require-hashes --requirement $(BENCH_LOCK)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
