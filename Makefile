# Needs make and a python3 (3.11 or later) with venv; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
# Jupyter refuses to run as root unless told that it is meant (containers, CI).
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)
# A file goes to one process, for the sake of its fixtures; in the order of tests/conftest.py.
PYTEST = $(BIN)/pytest -n logical --dist loadfile --no-loadscope-reorder

# Byte code is kept: without it each of some hundred processes would make its own, some seconds of it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help lab app test test-all lint figures student site dist bench pins clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

lab: .venv/.lab  ## work through copies of the lessons in JupyterLab; NO_BROWSER=1: only say the address
	$(BIN)/mmsim lab -- $(ROOT_FLAG) $(if $(NO_BROWSER),--no-browser)

app: .venv/.app  ## the widgets as pages without code
	$(BIN)/voila notebooks/app --classic-tree --Voila.ip=127.0.0.1 --token

test: lint  ## lint, every test that is quick, every lesson
	@echo "running the tests and the lessons: about three minutes on two cores"
	$(PYTEST) -m "not full" $(ARGS)

# The property tests are quick in `make test`, and long here.
test-all: .venv/.test-all  ## all that `make test` leaves out: browser, site, package, Binder, long histories
	@echo "running all other tests: about ten minutes on two cores"
	HYPOTHESIS_PROFILE=long $(PYTEST) -m "full or hypothesis" tests/test_*.py tests/browser tests/release $(ARGS)

lint: .venv/.test  ## ruff, import contracts; in CI also that notebooks are stripped
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(if $(CI),find notebooks -name '*.ipynb' -exec $(BIN)/nbstripout --keep-id --verify {} +)

figures: .venv/.test  ## draw the figures of the README anew
	$(BIN)/python docs/figures.py

student: .venv/.test  ## copies of the lessons without solutions: build/student
	$(BIN)/python docs/student.py

site: .venv/.site  ## the lessons with their results, the reference, and a lab in the browser: build/site
	rm -rf build/site build/site-source
	mkdir -p build/site-source
	cp -r docs/. notebooks build/site-source
	cp CHANGELOG.md build/site-source/changelog.md
	$(BIN)/sphinx-build -W --keep-going -q -b html build/site-source build/site
	$(BIN)/python docs/lite.py

dist: .venv/.release  ## wheel and sdist, checked: dist/
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*

bench: .venv/.bench  ## measure what mmsim costs, beside its goals: docs/speed.md; TOPICS="starts browser": only these
	$(BIN)/python benchmarks/bench.py $(TOPICS)
	$(BIN)/python docs/speed.py

pins: .venv/.test-all  ## pin binder/requirements.txt to what is installed here
	$(BIN)/python binder/pin.py

clean:  ## remove .venv and everything generated; my-lessons, your copies of the lessons, stays
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist test-results
	find . -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each set of extras, so that a set is installed once and again when pyproject.toml changes.
.venv/.%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mmsim needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	@echo "installing numpy, numba, pandas, matplotlib and what '$*' needs into .venv: half a minute, or two with a slow network, once"
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/python binder/install.py --editable '.[$*]'
	@touch $@
