# Each target creates the environment that it needs. Requirements: Python 3.11 or later, make, git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := .ci/requirements-dev.txt
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
BENCH_LOCK := .ci/requirements-bench.txt
RESOLVE := uv pip compile pyproject.toml --all-extras \
	--universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras \
	--custom-compile-command "make lock" --quiet
# Python 3.10 and older have to be able to run this line.
CHECK_PYTHON := 'import sys; v = sys.version_info; \
	sys.exit(v < (3, 11) and "Python 3.11 or later is needed, this is %d.%d; name one: make PYTHON=python3.11" % v[:2])'
# sqlc searches the path for its plugin.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The tests mostly wait for servers, so one more process than processors is faster.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# The other files test refused arguments and the quality of an index, which depend on neither.
STORES := pytest -q -n auto --dist loadfile tests/integration/stores $(addprefix \
	--ignore=tests/integration/stores/test_,bad_input.py hostile_input.py limits.py memory_search.py)

.PHONY: help demo test matrix soak unit lint types generate verify check lock licences bench clean

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(READY) ## Run `agentrows demo` on an embedded PostgreSQL.
	@agentrows demo

test: lint types unit ## Check lint and types, and run every test against a real PostgreSQL.

unit: $(READY) ## Run every test.
	pytest -q -n auto --dist loadfile

matrix: $(READY) ## Run the tests of the stores through pgbouncer and on older schemas.
	$(STORES) --pooler
	for core in 2 3 5; do $(STORES) --core $$core || exit 1; done

soak: $(READY) ## Run every fault test, the races 20 times each.
	AGENTROWS_ROUNDS=20 pytest -q tests/faults tests/integration/stores/test_hostile_input.py
	pytest -q --pooler tests/integration/stores

lint: $(READY) ## Check style and format.
	ruff check .
	ruff format --check .

types: $(READY) ## Check types with mypy and pyright.
	mypy
	pyright --warnings

generate: $(READY) ## Write src/agentrows/gen from migrations/ and queries/.
	sqlc generate

verify: $(READY) ## Check generated code, frozen migrations and the rules of tests/policy.
	@git rev-parse --verify --quiet HEAD >/dev/null || { \
		echo "make verify needs the history of git, and this folder is not a clone" >&2; exit 1; }
	sqlc diff
	python tests/policy/checks/freshness.py
	python tests/policy/checks/immutability.py
	PYTHONPATH=tests python -m policy.checks.contraction
	pytest -q -n auto tests/policy

check: verify test matrix ## Run every check that a change has to pass.

lock: $(READY) ## Update the lock files of the development dependencies.
	$(RESOLVE) --group dev --upgrade --output-file $(LOCK)
	$(RESOLVE) --group bench --upgrade --output-file $(BENCH_LOCK)
	python tests/policy/checks/locks.py $(LOCK) $(BENCH_LOCK)

licences: $(READY) ## Write docs/licences.md from the installed dependencies.
	python tests/policy/checks/licences.py > docs/licences.md.new
	mv docs/licences.md.new docs/licences.md

bench: $(BENCH_READY) ## Compare with other libraries; BENCH=get_session,growth selects, ROUNDS=9 runs longer.
	$(BENCH_VENV)/bin/python benchmarks/run.py $(if $(BENCH),--only $(BENCH)) $(if $(ROUNDS),--rounds $(ROUNDS))
	$(if $(BENCH),,$(BENCH_VENV)/bin/python benchmarks/report.py)

clean: ## Remove the files that the targets create.
	rm -rf $(VENV) $(BENCH_VENV) .cache build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml $(LOCK)
	@$(PYTHON) -c $(CHECK_PYTHON)
	@echo "creating the environment in $(VENV) (half a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement $(LOCK)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_READY): pyproject.toml $(BENCH_LOCK)
	@$(PYTHON) -c $(CHECK_PYTHON)
	@echo "creating the environment of the benchmarks in $(BENCH_VENV) (one minute)"
	@$(PYTHON) -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --require-hashes --requirement $(BENCH_LOCK)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
