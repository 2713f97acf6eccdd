# The two commands of the README; both set up .venv first where it is not ready.
SHELL := /bin/bash
PYTEST := .venv/bin/python -m pytest

.PHONY: help demo test test-slow check setup

help:
	@echo "make demo       set up, then distil, export, run and judge a small task on this machine"
	@echo "make test       set up, then format, lint, types, import contracts and tests"
	@echo "make test-slow  tests that take longer"

setup:
	@sha256sum --quiet --check .venv/.ready >/dev/null 2>&1 || packaging/setup.sh

demo: setup
	@.venv/bin/stillroom demo $(DEMO)

check: setup
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	.venv/bin/lint-imports --no-logo 2>/dev/null || .venv/bin/lint-imports
	.venv/bin/mypy

test: check
	$(PYTEST) -m "not slow and not gpu"

test-slow: setup
	$(PYTEST) -m "slow and not gpu"
