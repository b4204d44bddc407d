# Two commands: `make up` and `make test`. Both set everything up first and skip what is done.
PYTHON ?= $(firstword $(foreach name,python3.11 python3,$(shell command -v $(name))))
BIN := .venv/bin
MODEL ?=
VARIANT ?=
.DEFAULT_GOAL := up
.PHONY: up test check setup quantize-env node-sdk starter bench fuzz clean

up: setup ## Start engine and gateway, print a working curl line
	@exec $(BIN)/opcgate up $(if $(MODEL),--model $(MODEL)) $(if $(VARIANT),--variant $(VARIANT))

test: setup quantize-env node-sdk ## Run every check and every test, the real engine included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## The inner loop, under two minutes: lint, types, and the tests that start no process of their own
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not engine and not node" tests/configs tests/compliance $(QUICK) $(SLOW:%=--ignore-glob=*/%.py)

# Gateway tests that need no server, and tests of the pipeline that take longer than they are worth in the inner loop.
QUICK := $(addprefix tests/gateway/test_,guard.py parts.py restoring.py judging.py)
SLOW := test_cli test_cli_files test_*_cli test_disguised_streams test_minimal_hold test_quality test_classifier

setup:
	@test -n "$(PYTHON)" || { echo "setup: Python 3.11 is needed and no python3 was found. 需要 Python 3.11。" >&2; exit 2; }
	@$(PYTHON) configs/bootstrap.py

quantize-env: setup ## llm-compressor in an environment of its own, .venv-quantize, for `opcgate quantize`
	@$(PYTHON) configs/bootstrap.py quantize

node-sdk: setup tests/node/node_modules/.stamp

tests/node/node_modules/.stamp: tests/node/package.json tests/node/package-lock.json
	@echo "setup: installing the Node SDK for the tests"
	@cd tests/node && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund
	@touch $@

starter: setup ## Rebuild the starter model and its adapter from the recipe
	$(BIN)/opcgate models build-starter
	$(BIN)/opcgate models build-starter-adapter

bench: setup ## Measure the pipeline, and the gateway beside others (needs wrk and nginx)
	@mkdir -p .state
	$(BIN)/python -m loadtests.bench_scan --setup
	$(BIN)/python -m loadtests.bench_scan
	$(BIN)/python -m loadtests.bench_gateway --setup
	$(BIN)/python -m loadtests.bench_gateway --json .state/bench_gateway.json

fuzz: setup ## Fuzz the Unicode stage, the gate and endless input, a minute each
	@for target in unicode gate endless; do $(BIN)/python -m tests.fuzz.run $$target --seconds 60 || exit 1; done

clean:
	rm -rf .venv .venv-quantize .venv-bench .venv-bench-scan .state tests/node/node_modules
