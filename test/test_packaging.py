# SPDX-License-Identifier: Apache-2.0
"""What pip, colcon and ros2 launch read agrees with the code."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import yaml

import calib_all_ros
from calib_all_ros.settings import Settings


def test_versions_agree(repository: Path) -> None:
    manifest = ET.parse(repository / "package.xml").getroot()
    assert manifest.findtext("version") == calib_all_ros.__version__
    assert manifest.findtext("name") == "calib_all_ros"
    assert (repository / "resource" / "calib_all_ros").is_file()


def test_every_dependency_of_pip_is_known_to_rosdep_or_explained(repository: Path) -> None:
    setup = ast.parse((repository / "setup.py").read_text(encoding="utf-8"))
    keywords = [node for node in ast.walk(setup) if isinstance(node, ast.keyword)]
    (listed,) = (ast.literal_eval(k.value) for k in keywords if k.arg == "install_requires")
    # What one kind of machine alone needs has no place in package.xml.
    needed = {re.split("[<>=]", entry)[0] for entry in listed if ";" not in entry}
    manifest = (repository / "package.xml").read_text(encoding="utf-8")
    (explained,) = re.findall("No rosdep keys: (.*) \\(", manifest)
    keys = {node.text for node in ET.fromstring(manifest).iter("exec_depend")}
    named_otherwise = {"opencv-python-headless": "opencv", "pycollada": "collada", "pyyaml": "yaml"}
    unknown = {
        name
        for name in needed - set(explained.split(", "))
        if not {f"python3-{named_otherwise.get(name, name)}{end}" for end in ("", "-pip")} & keys
    }
    assert {"matplotlib", "jinja2"} < needed
    assert unknown == set()


def test_settings_file_holds_the_defaults(repository: Path) -> None:
    path = repository / "config" / "calibration.yaml"
    assert Settings.from_file(path) == Settings()
    # Not one of them is left out.
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == Settings().to_mapping()
