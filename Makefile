# Each target creates the environment that it needs. Requirements: Python 3.11 or later, make, git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := .ci/requirements-dev.txt
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
BENCH_LOCK := .ci/requirements-bench.txt
# Frameworks with adapters, by environment: .venv-integrations-langgraph and .venv-integrations-agents.
FAMILIES := langgraph agents
ADAPTERS_langgraph := langgraph
ADAPTERS_agents := adk openai_agents a2a claude pydantic_ai
ADAPTER_TESTS = -q -n auto --dist loadfile -c tests/integrations.ini \
	$(wildcard tests/integrations/common $(ADAPTERS_$*:%=tests/integrations/%))
INTEGRATIONS_VENV = .venv-integrations-$*
INTEGRATIONS_LOCK = .ci/requirements-integrations-$*.txt
RESOLVE := uv pip compile pyproject.toml \
	--universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras \
	--custom-compile-command "make lock" --quiet
# Each environment names its extras, so that no framework becomes a development dependency.
EXTRAS := --extra codegen --extra embedded --extra uvloop
EXTRAS_langgraph := --extra embedded --extra langgraph
EXTRAS_agents := --extra a2a --extra adk --extra claude --extra embedded --extra openai-agents \
	--extra pydantic-ai
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

.PHONY: help demo test matrix soak unit lint types generate catalog verify check integrations \
	integrations-full lock licences bench clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 19

demo: $(READY) ## Run `agentrows demo` on an embedded PostgreSQL.
	@agentrows demo

test: lint types unit ## Check lint and types, and run the tests against a real PostgreSQL.

# Those that are marked `slow`, and the rules of the source, are run by `make verify`.
unit: $(READY) ## Run the tests.
	pytest -q -n auto --dist loadfile -m "not slow" --ignore=tests/policy

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

catalog: $(READY) ## Write migrations/catalog, the objects that each migration creates.
	PYTHONPATH=tests python -m policy.checks.schema_catalog

verify: $(READY) ## Check the generator, its output, frozen migrations and the rules of tests/policy.
	@git rev-parse --verify --quiet HEAD >/dev/null || { \
		echo "make verify needs the history of git, and this folder is not a clone" >&2; exit 1; }
	sqlc-gen-asyncpg check --fresh
	python tests/policy/checks/immutability.py
	PYTHONPATH=tests python -m policy.checks.contraction
	pytest -q -n auto tests/policy
	pytest -q -n auto --dist loadfile -m slow --ignore=tests/policy

check: verify test matrix integrations ## Run every check that a change has to pass.

integrations: $(FAMILIES:%=integrations-%) ## Test the adapters, also with the frameworks' own tests.

integrations-full: $(FAMILIES:%=lowest-%) integrations ## The same, and the oldest supported frameworks.

# Types of the adapters, their tests, and those of the frameworks' source distributions.
integrations-%: .venv-integrations-%/.ready
	$(INTEGRATIONS_VENV)/bin/mypy $(shell find $(wildcard tests/integrations/common \
		$(foreach name,$(ADAPTERS_$*),src/agentrows/$(name)* tests/integrations/$(name) \
		examples/$(name))) -name '*.py')
	$(INTEGRATIONS_VENV)/bin/pyright --warnings --project tests/integrations/pyright-$*.json
	$(INTEGRATIONS_VENV)/bin/pytest $(ADAPTER_TESTS)
	PYTHONPATH=tests $(INTEGRATIONS_VENV)/bin/python -m integrations.suites $*

lowest-%: .venv-lowest-%/.ready
	.venv-lowest-$*/bin/pytest $(ADAPTER_TESTS) --ignore=tests/integrations/common

lock: $(READY) ## Update the lock files of all environments.
	$(RESOLVE) $(EXTRAS) --group dev --upgrade --output-file $(LOCK)
	$(RESOLVE) $(EXTRAS) --group bench --upgrade --output-file $(BENCH_LOCK)
	$(foreach family,$(FAMILIES),$(RESOLVE) $(EXTRAS_$(family)) --group integrations-$(family) \
		--upgrade --output-file .ci/requirements-integrations-$(family).txt &&) true
	python tests/policy/checks/locks.py $(LOCK) $(BENCH_LOCK) \
		$(FAMILIES:%=.ci/requirements-integrations-%.txt)

licences: $(READY) $(FAMILIES:%=.venv-integrations-%/.ready) ## Write docs/licences.md from the installed dependencies.
	python tests/policy/checks/licences.py > docs/licences.md.new
	$(foreach family,$(FAMILIES),.venv-integrations-$(family)/bin/python \
		tests/policy/checks/licences.py adapters >> docs/licences.md.new &&) true
	mv docs/licences.md.new docs/licences.md

bench: $(BENCH_READY) ## Compare with other libraries; BENCH=get_session,growth selects, ROUNDS=9 runs longer.
	$(BENCH_VENV)/bin/python benchmarks/run.py $(if $(BENCH),--only $(BENCH)) $(if $(ROUNDS),--rounds $(ROUNDS))
	$(if $(BENCH),,$(BENCH_VENV)/bin/python benchmarks/report.py)

clean: ## Remove the files that the targets create.
	rm -rf $(VENV) $(BENCH_VENV) .venv-integrations-* .venv-lowest-* .cache build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

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

# Make would delete them as intermediate files.
.PRECIOUS: .venv-integrations-%/.ready .venv-lowest-%/.ready

.venv-integrations-%/.ready: pyproject.toml .ci/requirements-integrations-%.txt
	@$(PYTHON) -c $(CHECK_PYTHON)
	@echo "creating the environment of the adapters in $(@D) (one minute)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --require-hashes --requirement $(INTEGRATIONS_LOCK)
	@$(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The lowest versions are resolved again for each environment, so no lock file is stored.
.venv-lowest-%/.ready: pyproject.toml $(READY)
	@echo "creating the environment of the oldest supported frameworks in $(@D) (one minute)"
	@mkdir -p .cache
	@$(RESOLVE) $(EXTRAS_$*) --group integrations-$* --resolution lowest-direct \
		--output-file .cache/lowest-$*.txt
	@python tests/policy/checks/locks.py .cache/lowest-$*.txt
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --require-hashes --requirement .cache/lowest-$*.txt
	@$(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
