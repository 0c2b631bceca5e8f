PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
OUT ?= out/demo
GPU := $(shell command -v nvidia-smi)
CONSTRAINTS := $(if $(GPU),,-c constraints/cpu.txt)

.PHONY: help setup demo test test-all check bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready  ## make .venv and install (CPU build of PyTorch where there is no GPU)

.venv/ready: pyproject.toml constraints/cpu.txt
	@echo "installing into .venv: about 3 GB, a few minutes"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make PYTHON=...")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --upgrade pip
	@$(if $(TORCH_INDEX),$(BIN)/pip install -qq $(CONSTRAINTS) torch --index-url $(TORCH_INDEX))
	@$(BIN)/pip install -qq $(CONSTRAINTS) -e '.[dev,totalseg]'
	@touch $@

demo: setup  ## the whole chain on phantoms, in minutes; run again, it resumes
	@sh demo.sh $(BIN) $(OUT)

test: setup  ## the fast suite
	@$(BIN)/pytest -q -n 2

test-all: setup  ## every test, those that start Ray and the demo too
	@$(BIN)/pytest -q -m "not gpu"

check: setup  ## lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## the benchmarks, ratios side by side
	@for file in benchmarks/*.py; do $(BIN)/python $$file; done

clean:  ## remove what the demo made
	rm -rf $(OUT)
