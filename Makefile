# Every target sets up .venv by itself; python3 >= 3.11 with pip is all it needs. uv is used when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
STAMP := $(VENV)/.installed
# pip need not compile modules: they are when first used. That is kept, whatever the environment says: every process that
# compiles torch's modules anew starts 3 s later.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --no-compile)

# Two processes of one thread each: on two cores two OpenMP teams of two would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: help setup demo test test-slow test-lowest test-oracles coverage lint format clean

help:
	@echo "make demo       train four methods on embedded data and print the table (6 to 10 minutes on two cores)"
	@echo "make test       the fast tests"
	@echo "make test-slow  the minutes-long tests"
	@echo "make test-lowest  the fast tests on the lowest versions that pyproject.toml allows (own environment: .venv-lowest)"
	@echo "make test-oracles  the tests of metrics with the libraries that give a second opinion"
	@echo "make coverage   the fast tests with branch coverage"
	@echo "make lint       ruff, mypy --strict, import-linter"
	@echo "make format     let ruff format the code"
	@echo "make clean      remove .venv and caches (run folders stay)"

setup: $(STAMP)

$(STAMP): pyproject.toml
ifneq ($(UV),)
	$(UV) venv --quiet --python ">=3.11" --allow-existing $(VENV)
else
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stbench needs python3 >= 3.11; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
endif
	$(INSTALL) -e ".[dev,video,weather]"
	@touch $@

demo: $(STAMP)
	$(BIN)/stbench run --methods tau,predrnn,convlstm,phydnet --dataset moving_digits --protocol quick --out results/demo

test: $(STAMP)
	$(PYTEST) -m "not slow"

# SECONDS=N starts no test after N seconds. Extras that only slow tests use come first; without one, its tests skip.
test-slow: $(STAMP)
	$(INSTALL) -e ".[ray,mlflow,wandb]" || echo "ray, mlflow and wandb cannot be installed here: their tests skip" >&2
	$(PYTEST) -m slow -rs $(if $(SECONDS),--seconds $(SECONDS))

# uv resolves the lowest direct versions; pip cannot. The first failure ends it: CI gives it the time that is left.
LOWEST := .venv-lowest

test-lowest: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e ".[dev,video,weather]"
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 --dist worksteal -m "not slow" --exitfirst

# Second opinions of other libraries on metrics; without them these tests skip.
test-oracles: $(STAMP)
	$(INSTALL) -e ".[oracles]"
	$(PYTEST) -rs tests/metrics

coverage: $(STAMP)
	$(PYTEST) -m "not slow" --cov --cov-report=term --cov-fail-under=90

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(LOWEST) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
