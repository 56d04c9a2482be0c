# SPDX-License-Identifier: Apache-2.0
"""Episodes as recordings: what went into a dataset comes out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.lerobot.episodes import load_episode
from calib_all_ros.lerobot.joints import DatasetRobot
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.robot.description import demo_urdf_path

pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")
pytest.importorskip("av", reason="pip install '.[datasets]'")

# Mean difference in grey levels that H.264 at this quality leaves.
CODEC = 3.0


def difference(a: Any, b: Any) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.mark.parametrize("episode", [0, 1, 2])
def test_every_frame_of_every_camera_is_the_right_one(
    truth: Any, dataset_path: Path, episode: int
) -> None:
    dataset = LerobotDataset.open(dataset_path)
    for key in (truth.top, truth.side):
        recording = load_episode(dataset, episode, key, camera_model=truth.camera)
        shown = truth.images[key][truth.frames(episode)]
        assert len(recording) == len(shown)
        for index in (*range(len(shown)), 0, len(shown) - 1, 1):
            image = recording.images[index]
            assert image.dtype == np.uint8
            differences = [difference(image, other) for other in shown]
            assert int(np.argmin(differences)) == index
            assert differences[index] < CODEC


def test_images_in_the_data_file_come_out_unchanged(truth: Any, dataset_v30_images: Path) -> None:
    dataset = LerobotDataset.open(dataset_v30_images)
    recording = load_episode(dataset, 1, truth.side, camera_model=truth.camera)
    shown = truth.images[truth.side][truth.frames(1)]
    for index in (0, 7, 19, 3):
        np.testing.assert_array_equal(recording.images[index], shown[index])


def test_drawing_into_an_image_changes_no_other(truth: Any, dataset_path: Path) -> None:
    dataset = LerobotDataset.open(dataset_path)
    images = load_episode(dataset, 0, truth.top, camera_model=truth.camera).images
    before = images[2].copy()
    images[2][:] = 0
    np.testing.assert_array_equal(images[2], before)


def test_stamps_and_joints(truth: Any, dataset_path: Path) -> None:
    dataset = LerobotDataset.open(dataset_path)
    robot = DatasetRobot(demo_urdf_path(), units="radians")
    recording = load_episode(dataset, 2, truth.top, robot, truth.camera)
    np.testing.assert_array_equal(recording.image_stamps_ns, np.arange(4) * 250_000_000)
    names = [f"joint_{number}" for number in range(1, 8)]
    assert list(recording.joints.names) == names
    positions, valid = recording.joints.at(recording.image_stamps_ns, names)
    assert valid.all()
    np.testing.assert_allclose(positions, truth.arm[truth.frames(2)], atol=1e-6)
    assert any("demo_arm" in note for note in recording.notes)
    assert any("gripper" in note and "left out" in note for note in recording.notes)


def test_the_address_gives_the_recording(truth: Any, dataset_path: Path, camera_json: Path) -> None:
    recording = load_recording(
        RecordingSource(
            f"{dataset_path}#episode=1,camera={truth.top}",
            camera=camera_json,
            urdf=demo_urdf_path(),
        )
    )
    assert recording.source == f"{dataset_path}#episode=1,camera={truth.top}"
    assert len(recording) == 20
    assert recording.base_frame == "base_link"
    part = load_recording(
        RecordingSource(
            f"{dataset_path}#episode=1,camera={truth.top}",
            camera=camera_json,
            urdf=demo_urdf_path(),
            start_s=1.0,
            end_s=2.0,
        )
    )
    np.testing.assert_array_equal(part.image_stamps_ns / 250_000_000, [4, 5, 6, 7, 8])


def test_episodes_of_one_file_differ_in_their_fingerprint(truth: Any, dataset_v30: Path) -> None:
    dataset = LerobotDataset.open(dataset_v30)
    found = {
        load_episode(dataset, episode, key, camera_model=truth.camera).fingerprint
        for episode in (0, 1)
        for key in (truth.top, truth.side)
    }
    assert len(found) == 4


def test_several_episodes_and_cameras_are_listed(
    truth: Any, dataset_path: Path, camera_json: Path
) -> None:
    with pytest.raises(RecordingError) as error:
        load_recording(RecordingSource(dataset_path, camera=camera_json))
    message = str(error.value)
    assert "episode=N of 3 (0, 1, 2)" in message
    assert f"camera=KEY of {truth.top}, {truth.side}" in message
    assert f"{dataset_path}#episode=0,camera={truth.top}" in message
    with pytest.raises(RecordingError, match="camera=KEY") as error:
        load_recording(RecordingSource(f"{dataset_path}#episode=1", camera=camera_json))
    assert "episode=N" not in str(error.value)


def test_what_is_not_there_is_named(truth: Any, dataset_path: Path, camera_json: Path) -> None:
    with pytest.raises(LerobotError, match="has no episode 7: it has 0, 1, 2"):
        load_recording(
            RecordingSource(f"{dataset_path}#episode=7,camera={truth.top}", camera=camera_json)
        )
    with pytest.raises(LerobotError, match=r"no camera front; its cameras are: .*top, .*side"):
        load_recording(
            RecordingSource(f"{dataset_path}#episode=0,camera=front", camera=camera_json)
        )
    with pytest.raises(LerobotError, match=r"no column qpos; it has: action, observation\.state"):
        load_recording(
            RecordingSource(
                f"{dataset_path}#episode=0,camera={truth.top},joints=qpos", camera=camera_json
            )
        )
    with pytest.raises(LerobotError, match="no intrinsics of observation"):
        load_recording(f"{dataset_path}#episode=0,camera={truth.top}")


def test_a_video_that_ends_early_is_told(truth: Any, dataset_v21: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(dataset_v21, damaged)
    folder = damaged / "videos/chunk-000" / truth.top
    shutil.copy(folder / "episode_000000.mp4", folder / "episode_000001.mp4")
    dataset = LerobotDataset.open(damaged)
    recording = load_episode(dataset, 1, truth.top, camera_model=truth.camera)
    assert len(recording.images[4]) == truth.camera.height
    with pytest.raises(LerobotError, match=r"has no frame at 1\.2500 s"):
        recording.images[5]
    (folder / "episode_000001.mp4").unlink()
    recording = load_episode(dataset, 1, truth.top, camera_model=truth.camera)
    with pytest.raises(LerobotError, match="cannot be decoded at"):
        recording.images[0]


def test_intrinsics_of_the_info_are_taken(truth: Any, dataset_v21: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    shutil.copytree(dataset_v21, told)
    info = json.loads((told / "meta/info.json").read_text())
    K = truth.camera.K.tolist()
    info["features"][truth.top]["info"]["intrinsics"] = {"K": K, "distortion": [0.1, 0, 0, 0, 0]}
    (told / "meta/info.json").write_text(json.dumps(info))
    camera = load_recording(f"{told}#episode=0,camera={truth.top}").camera
    np.testing.assert_allclose(camera.K, truth.camera.K)
    assert (camera.width, camera.height) == (truth.camera.width, truth.camera.height)
    assert camera.distortion.tolist() == [0.1, 0, 0, 0, 0]
    info["features"][truth.top]["info"]["intrinsics"] = {"fx": 3}
    (told / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(LerobotError, match=r"intrinsics of .* cannot be used \('K'\)"):
        load_recording(f"{told}#episode=0,camera={truth.top}")


def test_intrinsics_of_another_resolution_are_refused(
    truth: Any, dataset_path: Path, tmp_path: Path
) -> None:
    camera = tmp_path / "camera.json"
    camera.write_text('{"K": [60, 0, 31.5, 0, 60, 23.5, 0, 0, 1], "width": 64, "height": 48}')
    with pytest.raises(RecordingError, match=r"frame 0, is 320x240 but .* is for 64x48"):
        load_recording(
            RecordingSource(f"{dataset_path}#episode=0,camera={truth.top}", camera=camera)
        )


def test_times_have_to_grow(truth: Any, dataset_v21: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    damaged = tmp_path / "damaged"
    shutil.copytree(dataset_v21, damaged)
    path = damaged / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(path)
    times = pa.array([0, 0.25, 0.25, 0.5, 0.75], pa.float32())
    table = table.set_column(table.column_names.index("timestamp"), "timestamp", times)
    pq.write_table(table, path)
    with pytest.raises(LerobotError, match="the time of frame 2 of"):
        load_episode(LerobotDataset.open(damaged), 0, truth.top, camera_model=truth.camera)
