# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from calib_all_ros.settings import Settings, SettingsError


def test_defaults_survive_the_way_through_yaml(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(Settings().to_mapping()))
    assert Settings.from_file(path) == Settings()


def test_changed_settings_survive_the_way_through_yaml(tmp_path: Path) -> None:
    values = {
        "seed": 7,
        "frames": {"count": 9, "max_joint_gap_s": 0.5},
        "refinement": {"focal_scale": True, "lag": False},
        "mark": {"method": "epnp"},
    }
    settings = Settings.from_mapping(values)
    assert (settings.seed, settings.frames.count) == (7, 9)
    assert settings.refinement.focal_scale and not settings.refinement.lag
    assert settings.refinement.mask_bias == Settings().refinement.mask_bias
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(settings.to_mapping()))
    assert Settings.from_file(path) == settings


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing yet\n")
    assert Settings.from_file(path) == Settings()


def test_whole_numbers_do_for_real_ones() -> None:
    gap = Settings.from_mapping({"frames": {"max_joint_gap_s": 1}}).frames.max_joint_gap_s
    assert gap == 1.0 and isinstance(gap, float)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"sed": 1}, "sed"),
        ({"frames": {"cuont": 4}}, "cuont"),
        ({"frames": {"count": "many"}}, "count"),
        ({"frames": {"count": 2.5}}, "count"),
        ({"frames": 3}, "frames"),
        ({"frames": None}, "frames"),
        ({"refinement": {"lag": "yes please"}}, "lag"),
        ({"frames": {"max_joint_gap_s": "long"}}, "settings"),
        ({"seed": None}, "seed"),
        ({"seed": -1}, "seed"),
        ({1: 2}, "settings"),
    ],
)
def test_names_and_types_are_checked(values: dict[Any, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_mapping(values)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("frames", "count", 0),
        ("frames", "background_count", 1),
        ("frames", "max_joint_gap_s", 0.0),
        ("frames", "max_joint_gap_s", float("nan")),
        ("frames", "working_width_px", 10),
        ("search", "hypotheses", 0),
        ("search", "candidates", -3),
        ("search", "finalists", 0),
        ("search", "attempts", 0),
        ("mark", "method", "guess"),
        ("mark", "find", "perhaps"),
        ("mark", "tracker", "kcf"),
        ("masks", "source", "sam"),
        ("masks", "prompt", " "),
        ("masks", "box_threshold", 1.5),
        ("models", "device", "gpu"),
        ("refinement", "method", "sgd"),
        ("adam", "steps", 0),
        ("rendering", "backend", "opengl"),
    ],
)
def test_impossible_values_are_refused_by_name(section: str, name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"{section}\.{name} is '?{value}'?; it must be"):
        Settings.from_mapping({section: {name: value}})


def test_lists_come_back_from_files_as_they_were() -> None:
    settings = Settings.from_mapping({"masks": {"clicks": ["3,4", "5,6@7"]}})
    assert settings.masks.clicks == ("3,4", "5,6@7")
    assert Settings.from_mapping(settings.to_mapping()) == settings


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("- a\n- b\n", "mapping"), ("a: [1\n", "cannot read"), ("frames: {count: 0}\n", "count")],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=complaint) as caught:
        Settings.from_file(path)
    assert "mine.yaml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        Settings.from_file(tmp_path / "nowhere.yaml")
