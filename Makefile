# Two commands do everything on a machine with Python >= 3.11, make and a package index:
#   make app    starts the page on the shipped weights
#   make test   runs the tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 7860

.PHONY: app test lint docs lock browser clean

app: $(VENV)/.app
	$(BIN)/python -m app --port $(PORT)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, into build/site; a page or picture that is not there fails it.
docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# The stamps make an install happen once, and again when the dependencies change.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[app]'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[app,train,features,test]'
	touch $@ $(VENV)/.app

# The versions that the image and CI install, as they are in this environment: made anew when dependencies change.
lock: $(VENV)/.test
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m pip freeze --exclude-editable | grep == > $(VENV)/versions.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11.5 --no-header --no-annotate -c $(VENV)/versions.txt \
		pyproject.toml --extra app -o requirements/app.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11.5 --no-header --no-annotate -c $(VENV)/versions.txt \
		pyproject.toml --extra app --extra train --extra features --extra test -o requirements/test.lock

# Chromium for the browser test, on Debian and its relatives.
browser:
	apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
