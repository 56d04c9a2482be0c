# SPDX-License-Identifier: Apache-2.0
"""What pip, colcon and ros2 launch read agrees with the code."""

from __future__ import annotations

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


def test_settings_file_holds_the_defaults(repository: Path) -> None:
    path = repository / "config" / "calibration.yaml"
    assert Settings.from_file(path) == Settings()
    # Not one of them is left out.
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == Settings().to_mapping()
