# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from calib_all_ros.lerobot.address import LerobotAddress, LerobotError, find_address, with_topics


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "pick # place"
    (path / "meta").mkdir(parents=True)
    (path / "meta/info.json").write_text("{}")
    return path


def test_the_folder_alone(dataset: Path) -> None:
    assert find_address(dataset) == LerobotAddress(dataset)
    assert str(LerobotAddress(dataset)) == str(dataset)


def test_every_part_is_read_and_written_again(dataset: Path) -> None:
    text = (
        f"{dataset}#episode=12,camera=observation.images.top,"
        "joints=observation.state.joints+observation.state.grip,units=degrees,gripper=0:100,robots=/robots.yaml"
    )
    address = find_address(text)
    assert address == LerobotAddress(
        dataset,
        12,
        "observation.images.top",
        "observation.state.joints+observation.state.grip",
        "degrees",
        "0:100",
        "/robots.yaml",
    )
    assert str(address) == text
    assert find_address(Path(text)) == address


def test_what_is_no_dataset_is_left_to_others(dataset: Path, tmp_path: Path) -> None:
    assert find_address(tmp_path) is None
    assert find_address(tmp_path / "bag#1.mcap") is None
    assert find_address(f"{tmp_path}/other#episode=1") is None
    assert find_address(dataset / "meta") is None


@pytest.mark.parametrize(
    "selection, message",
    [
        ("3", "'3' in the address of .* is not understood"),
        ("episodes=3", "one of episode, camera, joints, units, gripper, robots"),
        ("episode=", "'episode=' in the address"),
        ("episode=-1", "episode=-1 .* is not a number from 0"),
        ("units=percent", "units=percent .* is unknown: say radians, degrees, or a file"),
    ],
)
def test_what_is_not_understood(dataset: Path, selection: str, message: str) -> None:
    with pytest.raises(LerobotError, match=message):
        find_address(f"{dataset}#{selection}")


def test_the_image_topic_names_the_camera(dataset: Path) -> None:
    address = LerobotAddress(dataset, 3)
    assert with_topics(address, None, []) == address
    assert with_topics(address, "top", []) == LerobotAddress(dataset, 3, "top")
    assert with_topics(LerobotAddress(dataset, 3, "top"), "top", []).camera == "top"
    with pytest.raises(LerobotError, match="camera=side and the image topic top name two cameras"):
        with_topics(LerobotAddress(dataset, 3, "side"), "top", [])
    with pytest.raises(LerobotError, match="it has no topic /joint_states"):
        with_topics(address, None, ["/joint_states"])
