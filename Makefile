# Two commands are enough: `make run` starts everything, `make test` tests it.
# Each sets up what it needs first (a virtual environment in .venv, by hash).

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help run test nextjs check format schema bench bench-peers bench-sweeps bench-record \
	soak chaos connections audit fuzz profile clean

help: ## what can be called here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

$(READY): requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "mainstem needs Python 3.11 or newer with venv and pip"; exit 1; }
	@echo "==> setting up .venv with $$($(PYTHON) --version) (once; about a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $(READY)

run: $(READY) ## start the sandbox and the server, with demo data
	@exec $(BIN)/python -m sandbox

# Bytecode is kept whatever the shell says: many processes read the same code.
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY) ## run the tests, three files at a time: many of them wait
	@echo "==> tests"
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

nextjs: $(READY) ## compile and run docs/nextjs.md with the real code generator
	@NEXTJS_CODEGEN=1 $(BIN)/python -m pytest tests/flow/test_nextjs.py $(ARGS)

check: $(READY) ## format, lint, types, import contracts
	@echo "==> format and lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@echo "==> types"
	@$(BIN)/mypy
	@echo "==> import contracts"
	@$(BIN)/lint-imports

format: $(READY) ## format and mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schema: $(READY) ## print the SDL into schema/schema.graphql
	@$(BIN)/python -m schema > schema/schema.graphql.new
	@mv schema/schema.graphql.new schema/schema.graphql

bench: $(READY) ## calls and CPU per operation beside a plain server
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(READY) ## the same beside the Node and Rust peers, if npm is there
	@$(BIN)/python -m benchmarks --only cost --peers $(ARGS)

bench-sweeps: $(READY) ## more objects, connections, requests, workers
	@$(BIN)/python -m benchmarks.sweeps $(ARGS)

bench-record: $(READY) ## everything, saved as results, chart and tables
	@$(BIN)/python -m benchmarks --only calls session cost sweeps --peers --save $(ARGS)

soak: $(READY) ## an hour of use with faults now and then (MINUTES=60 SEED=1)
	@$(BIN)/python -m trials soak --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1) $(ARGS)

chaos: $(READY) ## five minutes of many faults at once (MINUTES=5 SEED=1)
	@$(BIN)/python -m trials chaos --minutes $(or $(MINUTES),5) --seed $(or $(SEED),1) $(ARGS)

connections: $(READY) ## 10,000 idle, 1,000 active and some hostile connections
	@$(BIN)/python -m trials connections $(ARGS)

audit: $(READY) ## known advisories about the locked dependencies
	@$(BIN)/python .ci/audit.py

fuzz: $(READY) ## 5,000 random operations by two people (about 10 minutes)
	@$(BIN)/python tests/fuzz/run.py $(ARGS)

profile: $(READY) ## where the server's time goes under load, by layer
	@$(BIN)/python -m benchmarks.profile $(ARGS)

clean: ## remove what the other commands made
	@rm -rf .venv .build .mypy_cache .ruff_cache .pytest_cache .hypothesis
