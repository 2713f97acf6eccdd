# The two commands of the README; both set up .venv first where it is not ready.
SHELL := /bin/bash
PYTEST := .venv/bin/python -m pytest
# One more than processors: tests that wait for other processes leave theirs to the next.
PROCESSES := $(shell echo $$(($$(nproc) + 1)))

# Where the environment keeps Python from writing compiled modules, each of the hundreds of processes of the tests would
# compile them again.
COMPILED := .venv/bin/python -m compileall -q appliance training export tui

.PHONY: help demo test test-slow check lint types fast-tests setup bundle llama-wheel lock wheel-lock soak

help:
	@echo "make demo       set up, then distil, export, run and judge a small task on this machine"
	@echo "make test       set up, then format, lint, types, import contracts and tests"
	@echo "make test-slow  tests that take longer"
	@echo "make soak       200 kills over jobs of 500 documents, folders that change, a fault wherever a disk can fail"
	@echo "make bundle     one tar that installs on a server without a network: KEY=FILE MODELS=\"ARTIFACT=DOCUMENTS ...\" PYTHONS=\"3.13\""

setup:
	@sha256sum --quiet --check .venv/.ready >/dev/null 2>&1 || packaging/setup.sh

demo: setup
	@.venv/bin/stillroom demo $(DEMO)

check: lint types

lint: setup
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	.venv/bin/lint-imports --no-logo 2>/dev/null || .venv/bin/lint-imports

types: setup
	.venv/bin/mypy

# Types are checked beside the tests, which leave a part of a processor free.
test: lint
	@$(COMPILED)
	@$(MAKE) --no-print-directory --jobs=2 types fast-tests

fast-tests:
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow and not gpu" --numprocesses=$(PROCESSES)

test-slow: setup
	@$(COMPILED)
	OMP_NUM_THREADS=1 $(PYTEST) -m "slow and not gpu" --numprocesses=$(PROCESSES)

LLAMA := build/bundle/x86-64-v3

# Compiled once for every processor with AVX2, and kept: see packaging/bundle/llama_wheel.sh.
llama-wheel: setup
	@packaging/bundle/llama_wheel.sh $(LLAMA)

# KEY, MODELS and PYTHONS go to the programs as they were typed; in MODELS a path with blanks stands in quotes:
#     make bundle KEY="my keys/release" MODELS="'my task/runs/1/export/gguf-q8_0=my samples' other-model"
# What can be refused is refused before the set-up and ten minutes of compiling.
bundle: export BUNDLE_KEY = $(value KEY)
bundle: export BUNDLE_MODELS = $(value MODELS)
bundle: export BUNDLE_PYTHONS = $(value PYTHONS)
bundle:
	@[ -z "$$BUNDLE_KEY" ] || packaging/bundle/check_key.sh "$$BUNDLE_KEY"
	@$(MAKE) --no-print-directory setup
	@.venv/bin/python packaging/bundle/build.py --from-make --check
	@packaging/bundle/llama_wheel.sh $(LLAMA)
	@.venv/bin/python packaging/bundle/build.py --from-make

# The versions, after a change of pyproject.toml or to take newer ones: make lock NEWER="click httpx2". Set-up comes
# after it, because set-up fails where the lock does not meet pyproject.toml.
lock:
	.venv/bin/python packaging/lock/write.py $(foreach name,$(NEWER),--upgrade-package $(name))

# The hashes of the wheels for every Python, after a change of packaging/lock/runtime.txt.
wheel-lock: setup
	.venv/bin/python packaging/bundle/wheelhouse.py --cache build/bundle --lock

soak: setup
	PYTHONPATH=.:tests .venv/bin/python -m tests.soak $(SOAK)
