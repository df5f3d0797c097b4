# The project's commands. Everything happens in .venv, installed from the lock files.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
LOCK = pip-compile --quiet --strip-extras --no-header --annotation-style=line --no-emit-index-url --no-emit-find-links --no-emit-options

.PHONY: reproduce test test-gpu test-kills bench check explain lint format environment lock schema

reproduce: .venv/installed            ## make the study that params.yaml describes
	snakemake --cores all

test: .venv/installed-dev             ## run all tests that this machine can run
	pytest --numprocesses 2 --dist loadfile

check: .venv/installed                ## check params.yaml, data and models without running anything
	python -m workflow_scripts.lib.preflight params.yaml

lint: .venv/installed-dev             ## check style and types (tests check the rules: tests/workflow/test_structure.py)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	mypy

format: .venv/installed-dev           ## lay the code out
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

explain: .venv/installed              ## say what TARGET was made from, and why it is fresh or not
	@EXPLAIN=$(TARGET) snakemake --dry-run 2>&1 | grep -v "workflow specific profile"

test-gpu: .venv/installed-dev         ## compare a GPU with the CPU and print what it gains
	pytest -m gpu

test-kills: .venv/installed-dev       ## kill each engine at twenty random moments (an hour)
	KILLS=20 pytest tests/workflow/test_promises.py -k killed

# Every benchmark, with what QUICK=1 makes of it: as small as still tells whether it runs.
LOOK = --d-model 128 --layers 2 --vocabulary 1000 --rounds 1
DUMP_LOOK = $(LOOK) --demonstrations 4 --queries 10 --usual-queries 4
bench: SHELL = /bin/bash
bench: .SHELLFLAGS = -o pipefail -ec
bench: .venv/installed .venv-rivals/installed   ## measure everything, half an hour; QUICK=1 for a look; also in logs/bench.md
	@mkdir -p logs
	@run() { printf '\n## %s\n\n' "$$*"; "$$@"; }; { \
	run python -m benchmarks.dump $(if $(QUICK),$(DUMP_LOOK)); \
	run python -m benchmarks.dump $(if $(QUICK),$(DUMP_LOOK),--d-model 768 --layers 12 --demonstrations 8 --queries 100 --usual-queries 10); \
	run .venv-rivals/bin/python -m benchmarks.rivals $(if $(QUICK),$(DUMP_LOOK)); \
	run python -m benchmarks.tune $(if $(QUICK),$(LOOK) --adapters 4 --usual-adapters 2 --steps 2); \
	run python -m benchmarks.study --threads 1 $(if $(QUICK),--params benchmarks/look.yaml); \
	run python -m benchmarks.states_file $(if $(QUICK),$(LOOK) --queries 20 --draws 2); \
	run python -m benchmarks.dry_run $(if $(QUICK),--cells 20 --gigabytes .01 --rounds 1); \
	run python -m benchmarks.startup $(if $(QUICK),benchmarks/look.yaml); \
	} 2>&1 | tee logs/bench.md

schema: .venv/installed               ## write docs/params.schema.json from lib/settings.py
	python -m workflow_scripts.lib.settings

environment: .venv/installed          ## make .venv only

lock: .venv/installed-dev             ## pin the newest versions that fit the .in files
	pip install pip-tools
	$(LOCK) --upgrade --output-file requirements.lock requirements.in
	sed --in-place '/^torch==/s/+[a-z0-9]*//' requirements.lock
	$(LOCK) --upgrade --output-file requirements-dev.lock requirements-dev.in
	$(LOCK) --upgrade --output-file benchmarks/requirements-rivals.lock benchmarks/requirements-rivals.in
	sed --in-place '/^torch==/s/+[a-z0-9]*//' benchmarks/requirements-rivals.lock

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --requirement requirements.lock
	touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	touch $@

.venv-rivals/installed: benchmarks/requirements-rivals.lock
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@
