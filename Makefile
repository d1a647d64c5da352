# SPDX-License-Identifier: GPL-3.0-or-later
# Needs Python 3.11 to 3.13, pip and make; everything else goes into .venv.
#
#   make run      create the environment, replay the bundled Ethereum blocks, and compile what other commands use
#   make test     create the environment, then lint, type check and test: `make checked`, then `make pytest`
#   make setup    only create the environment: .venv/bin/supervm, test and bench extras
#   make bench    the benchmark suites, into build/bench; RECORD=--record keeps the results
#   make gpu      on a machine with an NVIDIA GPU: its tests and all suites on it, recorded; EXTRA=cuda12 for CUDA 12
#   make arm      known answers and a short run on an emulated 64-bit ARM processor, in build/arm; OPERATIONS="sha256 …" for some
#   make table    the tables of the READMEs and benchmarks/README.md, from the recorded results
#   make report   the page docs/benchmarks/report.html, from the recorded results
#   make docs     the documentation as a site: build/site/index.html
#   make circuits  the circuits from their circom sources, which needs npm and node
#   make evm-contracts  the EVM's contracts from their Solidity sources, which needs the same
#   make proto    the service's Python code from its .proto files
#   make lint | format | type | warmup | clean

SHELL := /bin/bash
# Without bytecode each of the hundreds of processes that tests start would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := run
.PHONY: run test checked setup lint format type kernels pytest bench gpu table report docs circuits evm-contracts proto arm warmup clean

ROOMS := kernels crypto vm engine tiers benchmarks
VENV := .venv
BIN := $(VENV)/bin
# The first of these that is a Python 3.11 to 3.13; `make PYTHON=…` names another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$name && break; done)
BLOCKS := benchmarks/data/ethereum/* benchmarks/data/evm/*
RECORD ?=
OUT ?= build/bench
EXTRA ?= cuda13
ARM ?= build/arm
OPERATIONS ?=
SHORT_RUN := --workload token --transactions 2000 --accounts 500 --block-size 500 --signatures --tier L4
# On two cores two processes leave a fifth of the time unused: tests wait for servers, disks and moments. Each gets a run of
# neighbours, which share servers and kernels that are loaded; who is done first takes over half of what another has left.
WORKERS ?= 3

run: $(VENV)/.base
	$(BIN)/supervm replay $(BLOCKS)
	$(BIN)/supervm warmup --common

test: checked
	$(MAKE) --no-print-directory pytest

# Kernels first: several processes of tests would compile many of them twice. One core would wait for the type checker.
checked: $(VENV)/.full lint
	$(MAKE) --no-print-directory --jobs 2 type kernels

kernels: $(VENV)/.full
	$(BIN)/supervm warmup
	$(BIN)/supervm warmup --backend scalar

pytest: $(VENV)/.full
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

setup: $(VENV)/.full

lint: $(VENV)/.full
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.full
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(VENV)/.full
	$(BIN)/mypy $(ROOMS:%=-p supervm.%)

bench: $(VENV)/.full
	$(BIN)/supervm bench all --out $(OUT) $(RECORD)

gpu: $(VENV)/.full
	$(INSTALL) -e '.[$(EXTRA)]'
	$(BIN)/python -m supervm.benchmarks.gpu

table: $(VENV)/.full
	$(BIN)/python -m supervm.benchmarks.table

report: $(VENV)/.full
	$(BIN)/python -m supervm.benchmarks.reports

proto: $(VENV)/.full
	$(BIN)/python tests/generators/protocol_code.py

# What it writes is kept: nodes and tests compile nothing.
circuits: $(VENV)/.base
	$(BIN)/python -m supervm.crypto.circuits.build build/circuits

evm-contracts: $(VENV)/.base
	$(BIN)/python -m supervm.engine.ethereum.contracts.build build/evm-contracts

docs: $(VENV)/.full
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# 64-bit ARM by emulation: known answers of every operation, of execution and of storage, then a short run that keeps its
# state. The emulated Python has the machine's own do LLVM's work.
arm: export ARM_COMPILER_PYTHON := $(CURDIR)/$(BIN)/python
arm: $(VENV)/.base
	.ci/arm $(ARM)
	.ci/arm-python $(ARM) tests/arm/answers.py $(OPERATIONS)
	$(if $(OPERATIONS),,rm -rf $(ARM)/state && .ci/arm-python $(ARM) tests/arm/command.py run $(SHORT_RUN) --state $(ARM)/state)

warmup: $(VENV)/.base
	$(BIN)/supervm warmup

clean:
	rm -rf $(VENV) .typing .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	find $(ROOMS) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: what the main job needs, and that with the rest. Each is renewed when the list of packages changes. What is
# never imported is not compiled to bytecode: that takes longer than the installation.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python .typing
	$(INSTALL) -e '.[all]'
	@touch $@

$(VENV)/.full: pyproject.toml constraints.txt | $(BIN)/python .typing
	$(INSTALL) -e '.[all,test,bench,docs]'
	@touch $(VENV)/.base $@

# A Python without ensurepip (Debian packs it apart) still has its own pip, which can serve the environment.
$(BIN)/python:
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then \
		echo "SuperVM needs Python 3.11, 3.12 or 3.13; found: $(if $(PYTHON),$$($(PYTHON) --version 2>&1),none)." >&2; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 3; fi
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) \
		&& $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

# Type checkers and editors find supervm.kernels and the others here; see pyproject.toml.
.typing:
	mkdir -p .typing/supervm
	for room in $(ROOMS); do ln -sfn ../../$$room .typing/supervm/$$room; done
