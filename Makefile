# Needs Python 3.11 or newer; uv is used where it is installed, else pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes that share the tests, of one thread and about 1.5 GB each.
WORKERS ?= 2
SELECTION := runs/incv_sym50/study3/selection.csv

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all mutations kills study3 bench slurm results gallery format clean

help: ## Show this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-10s %s\n", $$1, $$2}'

install: $(READY) ## Set up .venv with the tested versions of everything

$(READY): pyproject.toml .constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@if command -v uv >/dev/null; then \
		uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) && \
		uv pip install --quiet --python $(BIN)/python --constraint .constraints.txt --editable '.[dev]'; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --constraint .constraints.txt --editable '.[dev]'; \
	fi
	@touch $@

demo: $(READY) ## Train and test on embedded digits with 40 % wrong labels, in under two minutes
	$(BIN)/noisy-lightning fit --config configs/demo.yaml
	@$(BIN)/noisy-lightning test runs/demo/$$(ls runs/demo | sort -n | tail -n 1)

test: $(READY) ## Lint, check types and run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

test-all: $(READY) ## The same with the slow tests, some of which want real data sets
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m ''

mutations: $(READY) ## Count how many small mistakes in the code the tests notice, of those in tests/tools/mutations.txt
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.tools.mutations --jobs $(WORKERS)

kills: $(READY) ## Kill 150 runs, early and at random, and compare what each ends with, once it has been started again
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.tools.kills

study3: $(READY) $(SELECTION) ## Select labels by INCV, then train on them: hours on a GPU
	$(BIN)/noisy-lightning fit --config configs/incv_co_teaching_sym50.yaml --data.selection $(SELECTION) --run.version study3
	$(BIN)/noisy-lightning test runs/incv_co_teaching_sym50/study3

$(SELECTION): | $(READY)
	$(BIN)/noisy-lightning clean --config configs/incv_sym50.yaml --run.version study3

bench: $(READY) ## Measure speed against a bare loop and the usual pipeline
	$(BIN)/python -m tests.tools.benchmark

slurm: $(READY) ## Try sweeps on a real Slurm of one node, as root, on a machine that has one installed
	$(BIN)/python -m tests.tools.slurm

results: $(READY) ## Write what was measured into READMEs and configs anew, from the ledgers in notebooks/results
	$(BIN)/python -m tests.tools.readme_tables

gallery: $(READY) ## Draw every figure from small runs, on one page to look at: runs/gallery/pictures
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.tools.gallery

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove caches; runs, data and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
