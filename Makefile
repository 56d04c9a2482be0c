# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` need nothing but make and Python 3.10 or newer with venv.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# A sourced ROS environment would mix its Python packages into .venv.
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: demo test lint format clean

# Simulates a recording, calibrates it and compares the result with the known truth.
demo: .venv/installed
	rm -rf demo
	$(BIN)/calib_all demo demo

# Style, types and all tests, on two cores.
test: .venv/installed-test
	$(BIN)/python -m pytest -n 2

lint: .venv/installed-test
	$(BIN)/python -m pytest test/test_style.py

format: .venv/installed-test
	$(BIN)/python -m ruff check --fix-only --quiet .
	$(BIN)/python -m ruff format .

clean:
	rm -rf .venv build install log dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find calib_all_ros test -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "calib_all_ros needs Python 3.10 or newer, $(PYTHON) is `$(PYTHON) --version 2>&1`;" \
	         "name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making .venv and installing into it; the first time takes a minute or two"
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu:" \
	         "apt install python3-venv" >&2; exit 1; }

.venv/installed: setup.py setup.cfg .venv/bin/python
	$(PIP) install --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(PIP) install --editable '.[test]'
	@touch $@
