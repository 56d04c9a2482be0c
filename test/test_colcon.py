# SPDX-License-Identifier: Apache-2.0
"""What `colcon build` installs is complete and runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import calib_all_ros

LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "install", "log", "demo", "benchmarks"
)


@pytest.fixture(scope="module")
def workspace(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A colcon workspace in which a copy of the repository is built."""
    if importlib.util.find_spec("colcon_core") is None:
        pytest.skip("colcon is not installed (pip install colcon-common-extensions)")
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(repository, folder / "src" / "calib_all_ros", ignore=LEFT_OUT)
    run = subprocess.run(
        [sys.executable, "-m", "colcon", "build"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    # The message package under tools/ is not one of this workspace.
    assert "1 package finished" in run.stdout
    return folder


def test_shared_files_are_installed(repository: Path, workspace: Path) -> None:
    share = workspace / "install" / "calib_all_ros" / "share" / "calib_all_ros"
    wanted = {
        path.relative_to(repository)
        for folder in ("config", "launch", "rviz", "urdf")
        for path in (repository / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert wanted
    assert {path for path in wanted if not (share / path).is_file()} == set()


def test_templates_of_the_report_are_installed(repository: Path, workspace: Path) -> None:
    template = Path("calib_all_ros", "report", "template")
    (installed,) = (workspace / "install").rglob(f"site-packages/{template}")
    wanted = {path.name for path in (repository / template).iterdir()}
    assert {path.name for path in installed.iterdir()} == wanted
    assert "report.html.j2" in wanted


def test_executables_are_where_ros2_run_looks(workspace: Path) -> None:
    prefix = workspace / "install" / "calib_all_ros"
    (points,) = prefix.rglob("entry_points.txt")
    parser = ConfigParser()
    parser.read(points)
    names = set(parser["console_scripts"])
    assert "calib_all" in names
    executables = set((prefix / "lib" / "calib_all_ros").iterdir())
    assert {path.name for path in executables} == names
    assert all(os.access(path, os.X_OK) for path in executables)


def test_sourced_workspace_runs(workspace: Path) -> None:
    command = (
        ". install/setup.sh && exec install/calib_all_ros/lib/calib_all_ros/calib_all --version"
    )
    run = subprocess.run(
        ["sh", "-c", command], cwd=workspace, check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert calib_all_ros.__version__ in run.stdout
