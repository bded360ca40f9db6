# Two commands to set up: `make demo` runs the main job, `make test` passes the tests.
# Everything else is for people who work on Headrace.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
INSTALLED := $(VENV)/.installed
# As pip does, uv believes the certificates that the machine believes, a company's own included.
export UV_SYSTEM_CERTS ?= true

.PHONY: demo test test-all lint types check bench docs lock screenshots spark torch clean
.DELETE_ON_ERROR:

demo: $(INSTALLED) ## the year of flights, from raw deliveries to a model
	@$(BIN)/headrace demo

test: $(INSTALLED) lint types ## lint, types, tests
	$(BIN)/pytest -n 2 -m "not slow"

test-all: $(INSTALLED) lint types ## the same with the long tests
	$(BIN)/pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

bench: $(INSTALLED) ## every benchmark; renews docs/benchmarks.md
	$(BIN)/python -m bench

docs: $(INSTALLED) ## the documentation site, in site/; fails on a dead link or a page outside the navigation
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.site

screenshots: $(INSTALLED) ## the pictures in docs/, from a run of its own; needs Chromium
	$(BIN)/python -m tools.pictures.screenshots

spark: $(INSTALLED) ## Spark in an environment of its own, for the tests on it; needs Java 17 or later
	$(BIN)/python -m tests.cluster.spark_env

torch: $(INSTALLED) ## torch in a folder of its own, for the tests on it
	$(BIN)/python -m tests.datasets.torch_env

lock: $(INSTALLED) ## resolve the lock file anew
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --group docs --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--no-strip-extras --quiet --output-file requirements.lock

clean: ## forget the state, keep the environment
	rm -rf .headrace

# uv comes by pip, the rest by uv, every file checked against the hashes in the lock. The lock also
# constrains what source distributions are built with. The project itself is built by the locked
# hatchling, hence without isolation.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else "Headrace needs Python 3.11 to 3.13, this is %d.%d: make PYTHON=python3.12" % v[:2])'
	@echo "creating the environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirements requirements.lock --build-constraints requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
