# Everything a user or an engineer types. `make help` prints it. Recipes are one line: the work is in tools/.
.DEFAULT_GOAL := help
SHELL := /bin/sh
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)
RUNTIME ?= devcluster
DATAPLANES ?= 1
PYTEST_ARGS ?=
PY := .venv/bin/python

.PHONY: help setup demo up down status test unit layer lint format generate bench isolation-report access-report

help: ## Print these lines
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv from the lock file (every other target does this first)
	@tools/bootstrap.sh

demo: setup ## From nothing to a Ready ZillizCluster that a stock client searches (RUNTIME=kind uses Docker and kind)
	@$(PY) -m tools.demo --runtime $(RUNTIME)

up: setup ## Start the local cluster only, no operator (DATAPLANES=2 adds a second Kubernetes cluster)
	@$(PY) -m tools.devcluster up --dataplanes $(DATAPLANES)

down: setup ## Remove every process, mount, network namespace and file that `up` and `demo` made
	@$(PY) -m tools.demo --runtime $(RUNTIME) --down

status: setup ## What runs, and every cluster's state
	@$(PY) -m tools.devcluster status

test: setup ## Every layer of tests, on real parts (what CI runs)
	@$(PY) -m tools.run_tests $(PYTEST_ARGS)

unit: setup ## Unit tests only (seconds)
	@$(PY) -m pytest tests/unit -q $(PYTEST_ARGS)

layer: setup ## One layer: make layer L=apiserver
	@$(PY) -m pytest tests/$(L) $(PYTEST_ARGS)

lint: setup ## ruff, mypy --strict, import layers, generated files fresh
	@$(PY) -m tools.lint

format: setup ## Let ruff sort imports and format
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

generate: setup ## CRDs, reference and security pages, manifests, from their sources
	@$(PY) -m tools.generate

bench: setup ## Measure, and write bench/RESULTS.md
	@$(PY) -m bench.run

isolation-report: setup ## Probe two clusters from everywhere, and write docs/evidence/isolation.md
	@$(PY) -m tests.node.isolation_report

access-report: setup ## Try everything as everybody on two clusters, and write docs/evidence/access.md
	@$(PY) -m tests.node.access_report
