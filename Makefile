# Two commands for a fresh machine: `make demo` and `make test`. Each makes what it needs.

VENV ?= .venv
BIN = $(VENV)/bin
# dbt asks for other versions of what the tests need: an environment of its own.
DBT = $(VENV)-dbt
# TensorFlow is half the size of everything else, and Keras runs on one framework in a process.
TENSORFLOW = $(VENV)-tensorflow

# What pip compiles when it installs the package.
KERNEL = hatch_build.py sqlml/score/kernel/trees.c

# Spark starts the Java of JAVA_HOME. A recipe that begins with this ends where none is found.
JAVA = JAVA_HOME=$$(scripts/java.sh) && export JAVA_HOME
# Progress on a terminal, a quiet log elsewhere.
PIP = $(BIN)/python -m pip --disable-pip-version-check install $$(test -t 1 || echo --quiet)

# A worker on each core; what shares a server goes to one (tests/conftest.py).
SIDE_BY_SIDE = --numprocesses logical --maxprocesses 4 --dist loadgroup

.PHONY: help demo test lint format coverage clean
.DEFAULT_GOAL = help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*##/ { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp  ## train on real flights, publish, score in SQL, show results
	@$(JAVA) && $(BIN)/sqlml demo

test: $(VENV)/test.stamp $(DBT)/dbt.stamp $(TENSORFLOW)/tensorflow.stamp  ## run every test; style, types and layers are among them
	@$(JAVA) && $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST)

lint: $(VENV)/test.stamp  ## only style, types and layers
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/test.stamp  ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

coverage: $(VENV)/test.stamp  ## train every estimator, and write docs/coverage.md
	@$(BIN)/python -m tests.survey

clean:  ## remove the environment and everything that runs leave behind
	rm -rf $(VENV) $(DBT) $(TENSORFLOW) sqlml-demo sqlml-bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The stamps are newer than what they were made from, so a second run starts at once.
$(VENV)/python.stamp: scripts/python.sh
	@python=$$(scripts/python.sh) && echo "Making $(VENV) with $$($$python --version) …" \
		&& $$python -m venv $(VENV)
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1'  # --group
	@touch $@

$(VENV)/demo.stamp: $(VENV)/python.stamp pyproject.toml $(KERNEL)
	@echo "Installing sqlml and what the demo needs into $(VENV): once, a minute or two …"
	@$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/python.stamp pyproject.toml $(KERNEL)
	@echo "Installing sqlml and what the tests need into $(VENV): once, a few minutes …"
	@$(PIP) --editable '.[all]' --group test --group lint
	@touch $@ $(VENV)/demo.stamp

$(DBT)/dbt.stamp: $(VENV)/python.stamp sql/dbt/integration/requirements.txt
	@echo "Installing dbt into $(DBT): once, half a minute …"
	@$(BIN)/python -m venv $(DBT)
	@$(DBT)/bin/python -m pip --disable-pip-version-check install $$(test -t 1 || echo --quiet) \
		--requirement sql/dbt/integration/requirements.txt
	@touch $@

# Both environments write into one registry, whose tables are those of one version of MLflow.
$(TENSORFLOW)/tensorflow.stamp: $(VENV)/test.stamp
	@echo "Installing TensorFlow into $(TENSORFLOW): once, two minutes …"
	@$(BIN)/python -m venv $(TENSORFLOW)
	@$(TENSORFLOW)/bin/python -m pip --disable-pip-version-check install $$(test -t 1 || echo --quiet) \
		--editable '.[tensorflow]' \
		"mlflow==$$($(BIN)/python -c 'from importlib.metadata import version; print(version("mlflow"))')"
	@touch $@
