# `make demo` and `make test` each set everything up on a machine with Python 3.11 or newer; a second call installs nothing.

PYTHON ?= python3
VENV ?= .venv
SEED ?= 0
OUT ?= runs/quick-seed$(SEED)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The mini workloads and the tests are made for a core of a CPU; on a machine with a GPU, `make demo CUDA_VISIBLE_DEVICES=0`
# trains on it.
CUDA_VISIBLE_DEVICES ?=
export CUDA_VISIBLE_DEVICES

.PHONY: demo test lint format clean

demo: $(INSTALLED)
	$(BIN)/timetrial run quick --seed $(SEED) --out $(OUT)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# torch comes first and alone: another package's looser range would take a build with gigabytes of GPU libraries.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "timetrial needs Python 3.11 or newer; give one with PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
