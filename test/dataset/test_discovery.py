# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest

from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.episodes import DatasetSelection, EpisodeRef
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.input_files import InputSelection
from calib_all_ros.lerobot.address import LerobotError


def test_a_folder_is_searched_for_everything_that_can_be_read(
    tmp_path: Path, simulated_folder: Path, simulated_bag: Path
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "folder").symlink_to(simulated_folder)
    (tmp_path / "bag").symlink_to(simulated_bag)
    file = next(simulated_bag.glob("*.mcap"))
    (tmp_path / "files").mkdir()
    for name in ("monday.mcap", "tuesday.mcap"):
        (tmp_path / "files" / name).symlink_to(file)
    (tmp_path / "table.npz").touch()
    (tmp_path / "notes.txt").touch()
    found = {ref.name: ref for ref in find_episodes(tmp_path)}
    camera = "camera_color_image_raw_compressed"
    assert list(found) == [
        f"bag/{camera}",
        "deep/er/folder",
        f"files/monday.mcap/{camera}",
        f"files/tuesday.mcap/{camera}",
        "table",
    ]
    assert found[f"bag/{camera}"].camera == "/camera/color/image_raw/compressed"
    assert found["deep/er/folder"].kind == "folder"


def test_numbered_files_are_episodes_where_no_metadata_makes_them_one(
    tmp_path: Path, simulated_bag: Path
) -> None:
    file = next(simulated_bag.glob("*.mcap"))
    for name in ("run_0.mcap", "run_1.mcap"):
        (tmp_path / name).symlink_to(file)
    assert [ref.path.name for ref in find_episodes(tmp_path)] == ["run_0.mcap", "run_1.mcap"]
    (tmp_path / "metadata.yaml").touch()
    (found,) = find_episodes(tmp_path)
    assert found.path == tmp_path


def test_a_broken_bag_is_an_episode_that_fails_later(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"nothing")
    (tmp_path / "b.db3").write_bytes(b"nothing")
    assert [ref.name for ref in find_episodes(tmp_path)] == ["a.mcap", "b.db3"]


def test_a_single_recording_is_a_dataset_of_one(simulated_folder: Path) -> None:
    (found,) = find_episodes(simulated_folder)
    assert found == EpisodeRef("recording", "folder", simulated_folder)


def test_every_camera_of_every_episode_of_a_lerobot_dataset(tmp_path: Path) -> None:
    image = {"dtype": "video", "shape": [48, 64, 3], "names": ["height", "width", "channels"]}
    state = {"dtype": "float32", "shape": [2], "names": ["a", "b"]}
    info = {
        "codebase_version": "v2.1",
        "fps": 10,
        "features": {
            "observation.images.top": image,
            "observation.images.side": image,
            "observation.state": state,
        },
    }
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text(json.dumps(info))
    lines = [json.dumps({"episode_index": i, "length": 5, "tasks": []}) for i in range(2)]
    (tmp_path / "meta" / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    found = find_episodes(tmp_path)
    assert [(ref.episode, ref.camera) for ref in found] == [
        (episode, f"observation.images.{camera}")
        for episode in (0, 1)
        for camera in ("side", "top")
    ]
    assert found[1].source == f"{tmp_path}#episode=0,camera=observation.images.top"
    (one,) = find_episodes(f"{tmp_path}#units=degrees", cameras=["*top"], episodes=["1"])
    assert one.source == f"{tmp_path}#episode=1,camera=observation.images.top,units=degrees"


def test_a_lerobot_dataset_that_cannot_be_read_is_an_episode_that_fails_later(
    tmp_path: Path, simulated_folder: Path
) -> None:
    (tmp_path / "good").symlink_to(simulated_folder)
    (tmp_path / "old" / "meta").mkdir(parents=True)
    (tmp_path / "old" / "meta" / "info.json").write_text('{"codebase_version": "v2.0"}')
    good, old = find_episodes(tmp_path)
    assert (good.name, old.name, old.kind) == ("good", "old", "lerobot")
    with pytest.raises(LerobotError, match=r"v2\.0"):
        old.load(DatasetSelection())
    with pytest.raises(LerobotError, match=r"v2\.0"):
        find_episodes(tmp_path / "old")


def test_episodes_and_cameras_can_be_chosen(two_setups: Path) -> None:
    assert [r.name for r in find_episodes(two_setups, episodes=["a*"])] == ["a0", "a1", "a2"]
    with pytest.raises(DatasetError, match="none of its 5 episodes is meant"):
        find_episodes(two_setups, episodes=["c*"])
    with pytest.raises(DatasetError, match="none of its 5 episodes is meant"):
        find_episodes(two_setups, cameras=["top"])


def test_nothing_is_said_to_be_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no recording"):
        find_episodes(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        find_episodes(tmp_path / "missing")


def test_an_episode_travels_and_loads(simulated_bag: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated_bag, tmp_path / "bag")
    (found,) = find_episodes(tmp_path)
    sent = pickle.loads(pickle.dumps(found))
    assert sent == found
    recording, robot = sent.load(DatasetSelection(InputSelection(masks="recorded")))
    assert len(recording) == 20 and recording.masks is not None
    assert robot.kinematics.base_frame == "base_link"


def test_each_camera_has_its_intrinsics(tmp_path: Path) -> None:
    common = InputSelection(camera=tmp_path / "all.yaml")
    selection = DatasetSelection(common, (("top", tmp_path / "top.yaml"),))
    assert selection.of("top").camera == tmp_path / "top.yaml"
    assert selection.of("side").camera == selection.of(None).camera == tmp_path / "all.yaml"
