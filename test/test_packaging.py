# SPDX-License-Identifier: Apache-2.0
"""What pip, colcon and ros2 launch read agrees with the code."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

import calib_all_ros
from calib_all_ros.cli import main
from calib_all_ros.settings import Settings


def test_versions_agree(repository: Path) -> None:
    manifest = ET.parse(repository / "package.xml").getroot()
    assert manifest.findtext("version") == calib_all_ros.__version__
    assert manifest.findtext("name") == "calib_all_ros"
    assert (repository / "resource" / "calib_all_ros").is_file()


def test_settings_file_holds_the_defaults(repository: Path) -> None:
    path = repository / "config" / "calibration.yaml"
    assert Settings.from_file(path) == Settings()
    # Not one of them is left out.
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == Settings().to_mapping()


def test_launch_arguments_are_options(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launch = repository / "launch" / "calibrate.launch.py"
    tree = ast.parse(launch.read_text(encoding="utf-8"))
    (names,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "OPTIONS"
    ]
    with pytest.raises(SystemExit):
        main(["calibrate", "--help"])
    listed = capsys.readouterr().out
    assert [name for name in names if f"--{name.replace('_', '-')} " not in listed] == []
