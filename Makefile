# What one does with Gatehouse. The work itself is in installers/ (set-up), app/ (the program) and tests/.

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

.PHONY: help setup run test check test-models bench bench-serving bench-gate bench-extraction kills soak fuzz screenshots doctor clean
.DEFAULT_GOAL := help

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

setup: ## Make everything ready (the first time about ten minutes, then a second)
	@$(PYTHON) -m installers

run: setup ## Open the window
	@$(BIN)/gatehouse

test: setup ## Format, lint, types and every test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest

check: setup ## The fast part of the tests, on every core
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest -q -n auto --dist worksteal -m "not native and not slow"

test-models: setup ## Fetch larger models (1.9 GB, once, hash-checked) and test sizes on them
	$(BIN)/python -m tests.fetched_models
	$(BIN)/pytest -m models

bench: setup ## Measure, side by side with llama.cpp's own tools, and renew the table in README.md
	@$(BIN)/python -m tests.bench --write

bench-serving: setup ## Measure many sessions beside llama-server (40 minutes), and renew its table in README.md
	@$(BIN)/python -m tests.bench.serving --write

bench-gate: setup ## Measure encryption, zero bytes, redaction and canaries (half an hour), and renew their table in README.md
	@$(BIN)/python -m tests.bench --group gate --write

bench-extraction: setup ## Measure fields of receipts (GATEHOUSE_RECEIPTS names their folder), and renew the table in README.md
	@$(BIN)/python -m tests.bench.extraction --write

kills: setup ## A batch of 1,000 files under forty kills at random moments, each file done exactly once
	@$(BIN)/python -m tests.batch_kills 1000 40

soak: setup ## Half an hour of careless clients on one worker, which may lose no memory and no cell
	@$(BIN)/python -m tests.soak_serving --minutes 30 --sessions 20

fuzz: setup ## 10,000 broken requests to a worker and 10,000 broken documents to readers, which must not care
	@$(BIN)/python -m tests.fuzz_serving --requests 10000
	@$(BIN)/python -m tests.fuzz_readers --cases 10000

screenshots: setup ## Render every page into docs/screenshots
	@$(BIN)/python -m ui.screenshots

doctor: setup ## Say what this machine is and can
	@$(BIN)/gatehouse doctor

clean: ## Remove the environment and caches of this clone (compiled llama.cpp stays in your cache folder)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
