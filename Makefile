# make quickstart   a corpus to two served adapters, on this machine
# make check test   what CI runs
#
# Needs a Python 3.11 or newer and a package registry, nothing else. PYTHON picks the interpreter;
# TORCH_INDEX picks another index for torch alone, such as https://download.pytorch.org/whl/cpu.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q

.PHONY: test-bench help setup setup-dev quickstart fmt check test-unit test-one test models-tiny reference constraints

help:
	@sed -n '1,5s/^# \{0,1\}//p' Makefile
	@echo "targets: setup quickstart fmt check test-unit test-one test test-bench bench-NAME models-tiny reference constraints"

setup: .venv/installed
setup-dev: .venv/installed-dev

.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3 found; install Python 3.11 or newer"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "1/2 installing torch into .venv"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	@echo "2/2 installing loray and what it runs on (Ray, transformers, ...: some minutes)"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation --editable '.[all]'
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "installing what the checks and tests need"
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

quickstart: setup
	@$(BIN)/loray quickstart

fmt: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	@$(BIN)/python -m tests.house

# Everything that needs neither Ray nor a GPU: two to three minutes.
test-unit: setup-dev
	$(PYTEST) -n 2 --dist loadfile

# One file or one test, whatever its markers: make test-one T=tests/train/test_loop.py::test_name
test-one: setup-dev
	$(PYTEST) -m "" $(T)

# Everything that needs no GPU: the above, what takes seconds, and then, one after another, what
# trains on two workers, and what starts clusters and kills processes.
test: test-unit
	$(PYTEST) -n 2 --dist loadfile --durations=5 -m 'slow and not ray and not gpu and not network'
	$(PYTEST) --durations=5 -m 'workers and not gpu' tests/train
	$(PYTEST) --durations=15 -m 'ray and not gpu and not network'

# Each benchmark that starts Ray, once and tiny: three minutes. The others are in `make test`.
test-bench: setup-dev
	$(PYTEST) -m bench

bench-%: setup-dev
	PYTHONPATH=benchmarks OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$*.py

# Pretrain models/tiny again; hours on two cores, minutes on a GPU.
models-tiny: setup
	$(BIN)/python -m loray.quickstart.corpus workspace/pretraining --pretraining
	$(BIN)/python -m loray.quickstart.initialise workspace/pretraining/pretrain.jsonl workspace/tiny-init
	$(BIN)/loray apply configs/runs/pretrain-tiny.yaml
	$(BIN)/python -m loray.quickstart.release \
	  "$$(ls -d workspace/trainings/pretrain-tiny-*/checkpoints/step-* | tail -n 1)" models/tiny

# Write the generated pages again; a test says when they are not what the code says.
reference: setup-dev
	@$(BIN)/loray schema --markdown > docs/reference/spec.md
	@$(BIN)/python -m loray.cli.reference > docs/reference/cli.md

# Pin what .venv holds now; run it after raising a version there.
constraints: setup-dev
	@$(BIN)/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9]*$$//' > constraints.txt
