# make quickstart | test | test-all | slurm-test | slurm-rehearsal | learning-check | gpu-report | lint | agents | site |
# make package | lock | schemas
#
# Everything is installed into .venv, once for each content of requirements.lock.
#   make quickstart PYTHON=/path/to/python3.12    another Python than the first of python3, python3.11, ... that is >= 3.11
#   make quickstart TORCH=cpu                      builds of torch without CUDA: some hundred megabytes instead of gigabytes
#   make quickstart PIP_ARGS="..."                 extra arguments for pip

SHELL := bash
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(firstword $(foreach python,python3 python3.11 python3.12 python3.13,$(shell $(python) $(NEW_ENOUGH) 2>/dev/null && echo $(python))))
PIP_ARGS ?=
TORCH ?= default
ifeq ($(TORCH),cpu)
  # a build with the label +cpu counts as newer than the same version without
  override PIP_ARGS += --extra-index-url https://download.pytorch.org/whl/cpu
else ifneq ($(TORCH),default)
  $(error TORCH is default or cpu, got $(TORCH))
endif
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# by file, as its tests share fixtures, of which some take minutes
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --verbosity 0 --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 10 --ignore tests/slurm

.PHONY: help setup quickstart test test-all slurm-test slurm-rehearsal learning-check gpu-report lint agents site package lock schemas

help:
	@echo "make quickstart   train tiny runs of all three benchmarks on the CPU, up to figures and tables (minutes)"
	@echo "make test         run the tests that are quick (minutes)"
	@echo "make test-all     run all tests but those of Slurm"
	@echo "make slurm-test   run the tests on a Slurm of this machine (root; Debian packages slurm-wlm and munge)"
	@echo "make slurm-rehearsal  the paper's 225 runs through that Slurm, with a stand-in for training (half an hour)"
	@echo "make learning-check   train small agents on two tasks, and compare what they learn with earlier seeds (10 minutes on 2 cores)"
	@echo "make gpu-report   measure this machine's GPU: correctness, speed, memory, a day of training, into build/gpu-report"
	@echo "make lint         check style, types and the workflow"
	@echo "make setup        only install what the others need, into $(VENV)"
	@echo "make agents       train the agents in agents/ again, unless they are trained, and draw the picture of README.md"
	@echo "make site         build the documentation with search, interface and gallery, into build/site"
	@echo "make package      build wheel and source archive into build/dist, and check what is in them"
	@echo "make lock         write requirements.lock and envs/*.yaml from pyproject.toml"
	@echo "make schemas      write config/schemas, docs/progress.schema.json and the settings of gpu-report from the code"

setup: $(INSTALLED)

# minigrid asks for pygame-ce, which would overwrite the files of pygame: hence --no-deps
$(INSTALLED): requirements.lock
	@test -n "$(PYTHON)" || { echo "error: needs Python 3.11 or newer; say where with PYTHON=..." >&2; exit 1; }
	@echo "installing into $(VENV), which takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq $(PIP_ARGS) --requirement requirements.lock
	$(BIN)/python -m pip install -qq $(PIP_ARGS) --no-deps minigrid==3.2.0
	$(BIN)/python -m pip install -qq $(PIP_ARGS) --no-deps --no-build-isolation --editable .
	@touch $@

quickstart: $(INSTALLED)
	$(BIN)/snakemake --cores all --configfile config/quickstart.yaml
	@echo
	@echo "Where to look:"
	@echo "  figures/quickstart/          figures (PDF, PNG) and tables (Markdown, LaTeX, CSV, HTML)"
	@echo "  results/quickstart/          scores and statistics behind them"
	@echo "  results/runs/               the runs: settings, weights, metrics, scores, logs"
	@echo "  $(BIN)/m3 inspect FILE shows what is in an .h5 file"

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-all: $(INSTALLED)
	$(PYTEST)

slurm-test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations 5 tests/slurm

slurm-rehearsal: $(INSTALLED)
	$(BIN)/python -m pytest --capture no tests/slurm/rehearsal.py

learning-check: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/m3 learning-check

gpu-report: $(INSTALLED)
	$(BIN)/python -m m3 gpu-report build/gpu-report

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/snakefmt --check --compact-diff workflow
	$(BIN)/snakemake --lint

LAVA_GAP := results/runs/cpu_grid/m3/Grid-LavaGapS5-v0/seed-0
SWING_UP := results/runs/cpu_swingup_15k/m3/cartpole-swingup/seed-0

agents: $(INSTALLED)
	$(BIN)/snakemake --cores all $(LAVA_GAP)/scores.h5 --configfile config/cpu_study.yaml
	$(BIN)/snakemake --cores all $(SWING_UP)/scores.h5 --configfile config/cpu_attention.yaml
	rm -rf agents/lava-gap agents/swing-up
	$(BIN)/m3 push $(LAVA_GAP) agents/lava-gap
	$(BIN)/m3 push $(SWING_UP) agents/swing-up
	$(BIN)/m3 watch agents/lava-gap --dream --episodes 4 --fps 2 --output docs/lava-gap.gif

site: $(INSTALLED)
	PYTHONPATH=. $(BIN)/python docs/site.py
	$(BIN)/mkdocs build --quiet --strict

# twine wants another version of packaging than Snakemake does, so it has an environment of its own
package:
	rm -rf build/dist
	$(PYTHON) -m venv --clear build/package
	build/package/bin/python -m pip install -qq $(PIP_ARGS) build twine
	build/package/bin/python -m build --outdir build/dist
	build/package/bin/python -m twine check --strict build/dist/*

lock:
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install -qq $(PIP_ARGS) --editable '.[all]'
	build/lock/bin/python envs/lock.py

schemas: $(INSTALLED)
	$(BIN)/python -m m3.config.json_schema
	$(BIN)/python -m m3.bench.report.settings
	$(BIN)/python -m m3.files.progress > docs/progress.schema.json
