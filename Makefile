# `make train` and `make test` need Python 3.11 or newer, git and make; they set up .venv themselves.

PYTHON ?= python3
ARGS ?= loss=ce classes=4
STUDY ?= outputs/hw4
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE  # set in many containers; compiled files save each process of the suite a second
READY := .venv/.ready

.PHONY: train sweep report tensorboard test integration faults matrix bench lint format docs clean

train: $(READY)  ## train one condition: make train ARGS="loss=mse classes=2 seed=7"
	$(BIN)/python -m src.train $(ARGS)

sweep: $(READY)  ## homework 4: two losses, two class counts, 20 seeds each
	$(BIN)/python -m src.train --multirun experiment=hw4

report: $(READY)  ## tables and figures of a study: make report STUDY=outputs/hw4
	$(BIN)/python -m scripts.aggregate $(STUDY)

tensorboard: $(READY)  ## look into the runs, on this machine only
	$(BIN)/tensorboard --logdir outputs --host localhost

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

integration: $(READY)  ## what takes long: launchers end to end, Hydra's own suites, simulations, many kills
	$(BIN)/python -m pytest -n 2 --dist worksteal -m integration

faults: $(READY)  ## every fault: kills, full disks, many launches, bad input
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "integration or not integration" tests/faults

matrix: $(READY)  ## make test under other instruction sets, signals, streams, homes, locales and paths
	$(BIN)/python -m tests.matrix

bench: $(READY)  ## for an idle machine, half an hour; adds a row to docs/speed.csv: make bench BENCH="--parts engine"
	$(BIN)/python -m scripts.benchmark --history docs/speed.csv $(BENCH)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(READY)  ## the documentation as a site in build/site, any warning is an error
	NO_MKDOCS_2_WARNING=1 LOSSLAB_DOCS_FAST=1 $(BIN)/mkdocs build --config-file .mkdocs.yml --strict

clean:  ## caches and build products; outputs and .venv stay
	rm -rf build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src scripts tests hydra_plugins -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --requirement requirements.txt
	$(BIN)/python -m pip install --no-deps --editable .
	touch $@
