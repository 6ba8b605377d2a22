# mtpbench: everything starts here. `make run` and `make test` need Python >= 3.11 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIMES ?= llamacpp mlx litert vllm
TESTERS ?= 2
# Tiny models on shared CPUs: spinning threads cost 10-20 times the CPU time and slow the call.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help env runtimes run test lint format bench demo-pair docs constraints clean

help: ## Show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(VENV)/ready ## Create .venv with pinned versions
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mtpbench needs Python >= 3.11; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[transformers,dev]'
	@touch $@

runtimes: env ## Create the environments of the runtimes that run on a CPU (5 GB in your cache folder, minutes)
	$(BIN)/mtpbench env create $(RUNTIMES)

run: env ## Measure the embedded demo pair (3 minutes), show the table, write run file and report to runs/
	$(BIN)/mtpbench run

test: env ## Run the whole test suite (tests of a runtime whose environment is missing are skipped: make runtimes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --dist loadfile

lint: env ## Format check, lint, types, import directions, generated pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

format: env ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: env ## Measure mtpbench itself, as ratios in one run
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench

demo-pair: env ## Train, distil and evaluate a demo pair from text (about 100 minutes; options in ARGS)
	$(BIN)/python -m workloads.training --out build/demo-pair $(ARGS)

docs: env ## Rewrite the generated pages of docs/
	$(BIN)/python -m docs.generate

constraints: env ## Rewrite constraints.txt from what is installed
	{ echo '# Exact versions that `make` installs. Rewrite with: make constraints'; \
	  $(BIN)/python -m pip freeze --exclude-editable | grep -viE '^(pip|setuptools)=' | sed 's/+cpu//'; } > constraints.new
	mv constraints.new constraints.txt

clean: ## Remove the environment and caches (run files stay)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
