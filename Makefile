# The two commands of the README: `make demo` (the main job) and `make test`. Each does its own set-up.

PYTHON ?= python3.11
UV_VERSION := 0.13.9
UV := .tools/bin/uv
STOKER := .venv/bin/stoker
OUT ?= out/demo

.PHONY: demo guide test test-slow lint bench docs setup clean
.DEFAULT_GOAL := demo

demo: setup  ## the whole way on this machine: a cluster full of mistakes, audit, four weeks with every gate, canary, incident, report
	@rm -rf $(OUT)
	@$(STOKER) demo --out $(OUT) --no-open

guide: setup  ## size, compile, render, validate and audit the guide's whole set-up, without a cluster
	@scripts/guide out/guide

test: setup lint  ## everything that must pass before landing, under ten minutes
	.venv/bin/pytest -n 3 --dist worksteal -m "not slow"

test-slow: setup  ## the slow suites, one test at a time: labs, kills, simulations, a soak of ten minutes
	.venv/bin/pytest -v -m slow

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

bench: setup  ## speed, as ratios against a named reference in the same run
	.venv/bin/python benchmarks/run.py $(ARGS)

docs: setup  ## the documentation site, from source
	$(UV) sync --frozen --quiet --group docs
	.venv/bin/python scripts/reference.py
	.venv/bin/mkdocs build --strict

setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock scripts/setup
	@PYTHON=$(PYTHON) UV_VERSION=$(UV_VERSION) scripts/setup
	@touch $@

clean:
	rm -rf .venv .tools out site .mypy_cache .ruff_cache .pytest_cache
