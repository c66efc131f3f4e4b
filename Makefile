# Verbs of this repository; `make help` lists them. Every verb prepares .venv first if the lock has changed.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: setup up down status clean demo quick test unit soak check format lock bench images test-deploy help test-tools

BIN := .venv/bin
READY := .venv/.ready
# Two processes: one for all that needs the servers of the session, one for the rest (tests/support/groups.py).
PYTEST := $(BIN)/pytest --numprocesses=2 --dist=loadscope --no-loadscope-reorder

ifdef IDP
export PENSTOCK_IDP := $(IDP)
endif

setup: $(READY) ## install everything into .venv, and the servers into the cache
$(READY): requirements.lock pyproject.toml stack/install.sh stack/install_packages.sh $(wildcard stack/maven/*/*)
	stack/install.sh
	@touch $@

up: $(READY) ## start NATS, Elasticsearch, Cassandra and the fleet; IDP=keycloak for its tokens
	@$(BIN)/penstock up

down: $(READY) ## stop them; the data is kept
	@$(BIN)/penstock down

status: $(READY) ## show processes with ports, uptime and size
	@$(BIN)/penstock status

clean: $(READY) ## stop them and delete their data
	@$(BIN)/penstock clean --yes

demo: up ## send log files (FILES='…'), then show found, similar and most unusual lines
	@$(BIN)/penstock demo $(FILES)

quick: $(READY) ## check, and side by side the tests that need no server; for every change
	@$(MAKE) --jobs=2 --output-sync=target check unit

test-tools: $(READY)
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements-deploy.lock
	@stack/install_test_tools.sh
	@tests/deploy/fetch_keda_definition.sh
	@$(BIN)/python -m tests.support.npm_packages

unit: test-tools
	$(PYTEST) -q tests/unit tests/contracts

test: test-tools check ## check, then all tests against real servers
	$(PYTEST)

soak: $(READY) ## faults for MINUTES=30 and until KILLS=200; SEED=<number> repeats a run
	SOAK_MINUTES=$(or $(MINUTES),30) SOAK_KILLS=$(or $(KILLS),200) SOAK_SEED=$(SEED) $(BIN)/pytest -q -s tests/faults/test_soak.py

check: $(READY) ## format, lint, types, contracts, generated files; no server needed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/penstock contracts check
	$(BIN)/penstock contracts render --check

format: $(READY) ## rewrite the code as `check` expects it
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: $(READY) ## renew requirements.lock and the hashes of the jars (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv (https://docs.astral.sh/uv/)"; exit 1; }
	uv pip compile --python-version 3.11 --universal --generate-hashes \
		--custom-compile-command "make lock" --extra dev pyproject.toml -o requirements.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --constraints requirements.lock \
		--custom-compile-command "make lock" --extra deploy pyproject.toml -o requirements-deploy.lock
	$(BIN)/python -m penstock.stack.jars

bench: $(READY) ## measure every performance claim
	$(BIN)/python -m bench

images: ## build the image of every service with docker, podman or buildah
	@compose/images/build.sh

test-deploy: test-tools ## the fleet in containers on a Docker engine of its own: root, Debian, 40 minutes
	@tests/deploy/engine.sh

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
