# The project's commands. Everything happens in .venv, installed from the lock files.
# The first of these that fits; pyenv has names for versions that are not there.
PYTHON ?= python3.11 python3.12 python3.13 python3
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
python = $(or $(shell for python in $(PYTHON); do $$python -c '$(FITS)' 2> /dev/null && command -v $$python && break; done),\
	$(error Python 3.11, 3.12 or 3.13 is needed; `make PYTHON=/path/to/python` says where it is))
# Not make's own default, with which macOS's make looks commands up in the PATH it was started with.
SHELL = bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
LOCK = pip-compile --quiet --strip-extras --no-header --annotation-style=line --no-emit-index-url --no-emit-find-links --no-emit-options

.PHONY: reproduce test test-slow test-gpu test-remotes test-slurm test-kills test-states bench bench-gpu check plan explain forget status compare \
	findings remote verify-remote fetch export import verify gc slurm lint format environment lock schema

reproduce: .venv/installed            ## make the study that params.yaml describes; STUDY=studies/... takes that first
	$(if $(STUDY),python -m startup.take $(STUDY))
	snakemake --cores all

# More threads than cores wait for one another: without this, small matrices take many times longer on two cores.
test test-slow test-gpu test-remotes test-kills test-states test-slurm: export OMP_NUM_THREADS ?= 1

test: .venv/installed-dev             ## run all tests that this machine can run but the slow ones
	pytest -m "not slow and not slurm" --numprocesses 2 --dist loadfile

test-slow: .venv/installed-dev        ## every architecture, and what intervals cover by simulation (20 minutes)
	pytest -m slow -s

check: .venv/installed                ## check params.yaml, data and models, and print a prompt of each arm
	python -m workflow_scripts.lib.study.preflight params.yaml

plan: .venv/installed                 ## say what STUDY will take, on the GPU here or GPU=A100-80GB; CELLS=1 for each factor
	python -m workflow_scripts.lib.plan $(or $(STUDY),params.yaml) $(if $(GPU),--gpu $(GPU)) $(if $(CELLS),--cells) \
		--estimates .snakemake/estimates

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

forget: .venv/installed               ## remove TARGET, what was made from it, and what is remembered of them
	@FORGET=$(TARGET) snakemake --dry-run 2>&1 | grep -v "workflow specific profile"

compare: .venv/installed              ## what differs between two revisions, A and B (or what is here), and which estimates moved; ALL=1
	@python -m runs.compare $(or $(A),HEAD) $(B) $(if $(ALL),--all)

status: .venv/installed               ## say what of the study is done, running and failed, from another terminal too
	@python -m runs.status

remote: .venv/installed               ## share artifacts at URL=, a folder, ssh://... or s3://...; NAME=shared
	@python -m sharing.remote --url "$(URL)" $(if $(NAME),--name $(NAME))

verify-remote: .venv/installed        ## read all of REMOTE= and say whether it holds what is recorded here; REPAIR=1 puts back
	@python -m sharing.verify $(if $(REMOTE),--remote $(REMOTE)) $(if $(REPAIR),--repair true)

fetch: .venv/installed                ## bring STAGE=render_report, MODEL=name or CELL=model/dataset/factor from the remote alone
	@python -m sharing.fetch $(if $(STAGE),--stage "$(STAGE)") $(if $(MODEL),--model "$(MODEL)") $(if $(CELL),--cell "$(CELL)") $(if $(REMOTE),--remote $(REMOTE))

export: .venv/installed               ## write the study to FOLDER=, to be read and checked without any of this; verify checks it
	@python -m sharing.export --folder "$(FOLDER)"

import: .venv/installed               ## take an exported FOLDER= into the cache, so that snakemake brings its artifacts back
	@python -m sharing.importing --folder "$(FOLDER)"

verify: .venv/installed               ## check an exported FOLDER=
	@python -I sharing/check.py "$(FOLDER)"

gc: .venv/installed                   ## say what of DVC's cache nobody needs, and what that frees; YES=1 deletes it
	@python -m sharing.gc $(if $(YES),--yes true)

test-gpu: .venv/installed-dev         ## compare a GPU with the CPU and print what it gains
	pytest -m gpu

test-remotes: .venv-remotes/installed ## push, pull and harm remotes over SSH and S3, on this machine; QUICK=1 only S3, there and back
	$(if $(QUICK),,python -m tests.debian ssh)
	.venv-remotes/bin/python -m pytest tests/workflow/test_remotes.py $(if $(QUICK),-k "there_and_back and s3")

test-kills: .venv/installed-dev       ## kill each engine at twenty random moments (an hour)
	KILLS=20 pytest tests/workflow/test_promises.py -k killed

test-states: .venv/installed-dev      ## do whatever can be done to a study for an hour; another way with SEED=1
	STATES_SECONDS=3600 STATES_SEED=$(or $(SEED),0) pytest -s tests/workflow/test_states.py

test-slurm: .venv/installed-slurm .venv/installed-dev   ## run a study on a throw-away Slurm and kill what can be killed (15 minutes; as root)
	python -m tests.debian slurm
	pytest -s tests/workflow/test_slurm.py

slurm: .venv/installed-slurm          ## what `snakemake --workflow-profile profiles/slurm` needs (docs/cluster.md)

# Every benchmark, with what QUICK=1 makes of it: as small as still tells whether it runs.
LOOK = --d-model 128 --layers 2 --vocabulary 1000 --rounds 1
DUMP_LOOK = $(LOOK) --demonstrations 4 --queries 10 --usual-queries 4
bench: .venv/installed .venv-rivals/installed   ## measure everything, 40 minutes; QUICK=1 for a look; also in logs/bench.md
	@mkdir -p logs
	@set -e -o pipefail; run() { printf '\n## %s\n\n' "$$*"; "$$@"; }; { \
	run python -m benchmarks.dump $(if $(QUICK),$(DUMP_LOOK)); \
	run python -m benchmarks.dump $(if $(QUICK),$(DUMP_LOOK),--d-model 768 --layers 12 --demonstrations 8 --queries 100 --usual-queries 10); \
	run python -m benchmarks.windows $(if $(QUICK),$(LOOK) --window 64 --demonstrations 4 --queries 10 --usual-queries 4); \
	run .venv-rivals/bin/python -m benchmarks.rivals $(if $(QUICK),$(DUMP_LOOK)); \
	run python -m benchmarks.tune $(if $(QUICK),$(LOOK) --adapters 4 --usual-adapters 2 --steps 2); \
	run python -m benchmarks.study --threads 1 $(if $(QUICK),--params benchmarks/look.yaml); \
	run python -m benchmarks.compare $(if $(QUICK),--draws 3 --queries 20 --layers 2 --d-model 64); \
	run python -m benchmarks.states_file $(if $(QUICK),$(LOOK) --queries 20 --draws 2); \
	run python -m benchmarks.loading $(if $(QUICK),$(LOOK)); \
	run python -m benchmarks.dry_run $(if $(QUICK),--jobs 100 --rounds 1); \
	run python -m benchmarks.startup $(if $(QUICK),benchmarks/look.yaml); \
	} 2>&1 | tee logs/bench.md

bench-gpu: .venv/installed            ## measure a 7B model on the GPU here, in seven minutes; QUICK=1 for a look without one
	python -m benchmarks.gpu $(if $(QUICK),--look)
	python -m benchmarks.loading $(if $(QUICK),$(LOOK),--device cuda)

schema: .venv/installed               ## write docs/params.schema.json from lib/study/settings.py
	python -m workflow_scripts.lib.study.settings

findings: .venv/installed             ## write docs/findings.md from the study that was made here
	python -m workflow_scripts.lib.report.claims_page docs/findings.md

environment: .venv/installed          ## make .venv only; WITHOUT_DVC=1 leaves DVC out (docs/sharing.md)

lock: .venv/installed-dev             ## pin the newest versions that fit the .in files
	pip install pip-tools
	$(LOCK) --upgrade --output-file requirements.lock requirements.in
	sed -i.bak '/^torch==/s/+[a-z0-9]*//' requirements.lock && rm requirements.lock.bak
	$(LOCK) --upgrade --output-file requirements-dev.lock requirements-dev.in
	$(LOCK) --upgrade --no-annotate --output-file sharing/requirements-remotes.lock sharing/requirements-remotes.in
	sed 's/ *#.*//' requirements.lock requirements-dev.lock | grep . > .venv/locked
	grep -vxFf .venv/locked sharing/requirements-remotes.lock | grep '^[a-z]' > .venv/beside && mv .venv/beside sharing/requirements-remotes.lock
	$(LOCK) --upgrade --output-file benchmarks/requirements-rivals.lock benchmarks/requirements-rivals.in
	sed -i.bak '/^torch==/s/+[a-z0-9]*//' benchmarks/requirements-rivals.lock && rm benchmarks/requirements-rivals.lock.bak

.venv/installed: requirements.lock
	$(python) -m venv .venv
	grep -v $(if $(WITHOUT_DVC),^dvc,^$$) requirements.lock | pip install --quiet --disable-pip-version-check --requirement /dev/stdin
	touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	touch $@

.venv/installed-slurm: requirements-slurm.lock .venv/installed
	pip install --quiet --disable-pip-version-check --requirement requirements-slurm.lock
	touch $@

.venv-rivals/installed: benchmarks/requirements-rivals.lock
	$(python) -m venv .venv-rivals
	.venv-rivals/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# .venv's own libraries, and a few beside them.
.venv-remotes/installed: sharing/requirements-remotes.lock .venv/installed-dev
	$(python) -m venv .venv-remotes
	purelib='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	python -c "$$purelib" > "$$(.venv-remotes/bin/python -c "$$purelib")/workflow.pth"
	.venv-remotes/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	touch $@
