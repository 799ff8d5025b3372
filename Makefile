# Needs make and a python3 (3.11 or later) with venv; everything else goes into .venv.
PYTHON ?= python3
EXTRAS ?= test,dev
BIN := .venv/bin
# Jupyter refuses to run as root unless told that it is meant (containers, CI).
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab app test lint figures student site dist bench pins clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

lab: .venv/.lab  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab $(ROOT_FLAG) --ServerApp.root_dir="$(CURDIR)" \
	    --LabApp.default_url=/lab/tree/notebooks/index.ipynb

app: .venv/.app  ## the widgets as pages without code
	$(BIN)/voila notebooks/app --classic-tree --Voila.ip=127.0.0.1 --token

test: lint  ## lint, then run every test and every notebook
	$(BIN)/pytest -n logical --dist loadfile $(ARGS)

lint: .venv/.$(EXTRAS)  ## ruff, import contracts; in CI also that notebooks are stripped
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(if $(CI),find notebooks -name '*.ipynb' -exec $(BIN)/nbstripout --keep-id --verify {} +)

figures: .venv/.$(EXTRAS)  ## draw the figures of the README anew
	$(BIN)/python docs/figures.py

student: .venv/.$(EXTRAS)  ## copies of the lessons without solutions: build/student
	$(BIN)/python docs/student.py

site: .venv/.site  ## the lessons with their results, the reference, and a lab in the browser: build/site
	rm -rf build/site build/site-source
	mkdir -p build/site-source
	cp -r docs/. notebooks build/site-source
	cp CHANGELOG.md build/site-source/changes.md
	$(BIN)/sphinx-build -W --keep-going -q -b html build/site-source build/site
	$(BIN)/python docs/lite.py

dist: .venv/.release  ## wheel and sdist, checked: dist/
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*

bench: .venv/.$(EXTRAS),fast  ## measure speed, compiled and interpreted, up to 64 GB
	$(BIN)/python benchmarks/bench.py

pins: .venv/.$(EXTRAS),fast  ## pin binder/requirements.txt to what is installed here
	$(BIN)/python binder/pin.py

clean:  ## remove .venv and everything generated
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist test-results
	find . -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each set of extras, so that a set is installed once and again when pyproject.toml changes.
.venv/.%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mmsim needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
