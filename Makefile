PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := work_dirs/demo

.PHONY: help demo test check clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/installed  ## train and score CAM on the embedded creatures, write a gallery
	$(BIN)/wsoltool train configs/cam/cam_small_creatures.py --work-dir $(DEMO)
	$(BIN)/wsoltool test configs/cam/cam_small_creatures.py $(DEMO)/last.pth \
	    --json $(DEMO)/results.json --gallery $(DEMO)/gallery

test: $(VENV)/installed  ## run all tests
	$(BIN)/python -m pytest -n 2

check: $(VENV)/installed  ## lint, format and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove what the other targets made
	rm -rf $(VENV) work_dirs build dist *.egg-info
