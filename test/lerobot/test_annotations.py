# SPDX-License-Identifier: Apache-2.0
"""Annotations as features of a dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frames import AnnotatedRecording, annotated_recording
from calib_all_ros.annotation.label_image import depth_millimetres
from calib_all_ros.annotation.lerobot_features import (
    QUANTITIES,
    annotation_features,
    frame_values,
    write_annotated_dataset,
)
from calib_all_ros.commands.annotate import run_annotate
from calib_all_ros.commands.annotate_options import AnnotateOptions
from calib_all_ros.geometry import se3
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.lerobot.episodes import load_episode
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.demo import demo_urdf_path
from calib_all_ros.robot.description import load_robot

WHY = "pip install '.[datasets]'"


@pytest.fixture(scope="module")
def annotated(dataset_v30: Path, truth: Any, calibrated: Any) -> AnnotatedRecording:
    """Episode 1 as the camera `top` saw it."""
    robot = load_robot(demo_urdf_path())
    recording = load_episode(
        LerobotDataset.open(dataset_v30),
        1,
        truth.top,
        joint_names=(*(f"joint_{n}" for n in range(1, 8)), "_"),
        camera_model=truth.camera,
        urdf=demo_urdf_path(),
    )
    return annotated_recording(recording, robot, calibrated)


@pytest.fixture(scope="module")
def written(annotated: AnnotatedRecording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("annotated") / "dataset"
    write_annotated_dataset(out, annotated.every(3))
    return out


def rows_of(path: Path, episode: int) -> Any:
    pq = pytest.importorskip("pyarrow.parquet", reason=WHY)
    pa = pytest.importorskip("pyarrow", reason=WHY)
    files = sorted(path.glob("data/*/*.parquet"))
    table = pa.concat_tables([pq.read_table(file) for file in files])
    return [row for row in table.to_pylist() if row["episode_index"] == episode]


def decoded(cell: dict[str, Any]) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(cell["bytes"], np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(image)


def test_features_are_described(written: Path, annotated: AnnotatedRecording) -> None:
    features = json.loads((written / "meta/info.json").read_text())["features"]
    assert {f"annotation.top.{name}" for name in QUANTITIES} <= set(features)
    assert features["annotation.top.depth"]["info"]["is_depth_map"]
    assert features["annotation.top.depth"]["shape"] == [240, 320, 1]
    links = features["annotation.top.link_masks"]["info"]["links"]
    assert links == list(annotated.link_names)


def test_values_are_those_of_the_frames(written: Path, annotated: AnnotatedRecording) -> None:
    rows = rows_of(written, 1)
    assert len(rows) == 20
    thinned = annotated.every(3)
    assert [row["frame_index"] for row in rows if row["annotation.top.annotated"]] == list(
        thinned.frames
    )
    for annotation in thinned.annotations():
        row, eef = rows[annotation.index], annotation.eef
        np.testing.assert_allclose(row["annotation.top.eef_pixel"], eef.pixel, rtol=1e-6)
        assert row["annotation.top.eef_visible"] == eef.visible
        assert row["annotation.top.eef_depth"] == pytest.approx(eef.depth_m, rel=1e-6)
        for name, T in (("eef_pose", eef.T_camera_eef), ("eef_pose_base", eef.T_base_eef)):
            values = np.array(row[f"annotation.top.{name}"])
            found = se3.from_quaternion_xyzw(values[3:], values[:3])
            np.testing.assert_allclose(found, T, atol=1e-6)
        depth = decoded(row["annotation.top.depth"])
        assert np.array_equal(depth, depth_millimetres(annotation.depth_m))
        links = decoded(row["annotation.top.link_masks"])
        assert np.array_equal(links, annotation.links + 1)
        gripper = decoded(row["annotation.top.gripper_mask"])
        assert np.array_equal(gripper > 0, annotation.gripper)


def test_other_episodes_get_placeholders(written: Path) -> None:
    for row in rows_of(written, 0):
        assert not row["annotation.top.annotated"]
        assert not decoded(row["annotation.top.depth"]).any()


def test_annotated_dataset_is_read_as_before(written: Path, dataset_v30: Path) -> None:
    new, old = LerobotDataset.open(written), LerobotDataset.open(dataset_v30)
    assert new.cameras == old.cameras
    assert new.episode_indices == old.episode_indices


def test_lerobot_itself_reads_the_features(
    written: Path, annotated: AnnotatedRecording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="pip install lerobot")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    dataset = library.LeRobotDataset("somebody/something", root=written, video_backend="pyav")
    annotation = next(annotated.annotations([3]))
    item = dataset[5 + 3]
    np.testing.assert_allclose(item["annotation.top.eef_pixel"], annotation.eef.pixel, rtol=1e-6)
    links = np.rint(item["annotation.top.link_masks"].numpy()[0] * 255)
    assert np.array_equal(links, annotation.links + 1)


def test_without_pictures_only_numbers_are_written(annotated: AnnotatedRecording) -> None:
    features = annotation_features("observation.images.top", 320, 240, pictures=False)
    values = frame_values(
        next(annotated.annotations([0])), "observation.images.top", pictures=False
    )
    assert {feature.key for feature in features} == set(values)
    assert all(feature.is_number for feature in features)
    for feature in features:
        assert values[feature.key].shape == feature.shape
        assert values[feature.key].dtype == feature.dtype


def test_what_cannot_be_written_is_told(annotated: AnnotatedRecording, tmp_path: Path) -> None:
    elsewhere = replace(annotated.recording, source=str(tmp_path))
    with pytest.raises(AnnotationError, match="--lerobot copies a LeRobot dataset"):
        write_annotated_dataset(tmp_path / "out", replace(annotated, recording=elsewhere))
    with pytest.raises(AnnotationError, match="300 links, link masks of 8 bits take 255"):
        annotation_features("a", 4, 4, links=[str(n) for n in range(300)])


def test_command_writes_dataset_and_folder(
    dataset_v30: Path, calibrated: Any, camera_json: Path, tmp_path: Path
) -> None:
    names = (*(f"joint_{n}" for n in range(1, 8)), "_")
    options = AnnotateOptions(
        recording=Path(f"{dataset_v30}#episode=1,camera=observation.images.top"),
        calibration=str(calibrated.save(tmp_path / "calibration")),
        urdf=demo_urdf_path(),
        camera=camera_json,
        joint_names=names,
        out=tmp_path / "folder",
        lerobot=tmp_path / "dataset",
        only=("trajectory",),
        quiet=True,
    )
    with RunLog(["annotate"]) as log:
        run_annotate(options, log)
    rows = rows_of(tmp_path / "dataset", 1)
    assert all(row["annotation.top.annotated"] for row in rows)
    # Without masks and depth in --only, no pictures are written.
    assert "annotation.top.depth" not in rows[0]
    assert (tmp_path / "folder" / "trajectory.csv").is_file()
