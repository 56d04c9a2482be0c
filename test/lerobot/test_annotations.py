# SPDX-License-Identifier: Apache-2.0
"""Annotations as features of a dataset."""

from __future__ import annotations

import json
import shutil
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
from calib_all_ros.commands.annotate import run
from calib_all_ros.commands.result_options import AnnotateOptions
from calib_all_ros.geometry import se3
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.dataset import V30, LerobotDataset
from calib_all_ros.lerobot.episodes import load_episode
from calib_all_ros.lerobot.joints import DatasetRobot
from calib_all_ros.results.records import Verdict
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import demo_urdf_path, load_robot

WHY = "pip install '.[datasets]'"


def annotated_episode(path: Path, episode: int, truth: Any, calibrated: Any) -> AnnotatedRecording:
    """An episode as the camera `top` saw it."""
    robot = load_robot(demo_urdf_path())
    recording = load_episode(
        LerobotDataset.open(path),
        episode,
        truth.top,
        DatasetRobot(demo_urdf_path(), joint_names=(*(f"joint_{n}" for n in range(1, 8)), "_")),
        truth.camera,
    )
    return annotated_recording(recording, robot, calibrated)


@pytest.fixture(scope="module")
def annotated(dataset_v30: Path, truth: Any, calibrated: Any) -> AnnotatedRecording:
    """Episode 1."""
    return annotated_episode(dataset_v30, 1, truth, calibrated)


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


def test_episodes_are_annotated_one_after_the_other(
    dataset_path: Path, truth: Any, calibrated: Any, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_annotated_dataset(first, annotated_episode(dataset_path, 0, truth, calibrated))
    write_annotated_dataset(second, annotated_episode(first, 2, truth, calibrated))
    assert rows_of(second, 0) == rows_of(first, 0)
    assert rows_of(second, 1) == rows_of(first, 1)
    done = [[row["annotation.top.annotated"] for row in rows_of(second, n)] for n in range(3)]
    assert all(done[0]) and not any(done[1]) and all(done[2])
    assert decoded(rows_of(second, 0)[0]["annotation.top.depth"]).any()
    if LerobotDataset.open(second).version == V30:
        stats = json.loads((second / "meta/stats.json").read_text())
        share = (len(done[0]) + len(done[2])) / sum(map(len, done))
        assert stats["annotation.top.annotated"]["mean"] == pytest.approx([share])


def test_annotations_that_would_not_mean_the_same_are_told(
    written: Path, truth: Any, calibrated: Any, tmp_path: Path
) -> None:
    again = annotated_episode(written, 0, truth, calibrated)
    with pytest.raises(
        LerobotError, match=r"would differ in annotation\.top\.depth: write the same"
    ):
        write_annotated_dataset(tmp_path / "out", again, pictures=False)
    renamed = replace(again.surface, link_names=tuple(f"{n}_" for n in again.surface.link_names))
    with pytest.raises(LerobotError, match=r"would differ in annotation\.top\.link_masks"):
        write_annotated_dataset(tmp_path / "out", replace(again, surface=renamed))
    assert not (tmp_path / "out").exists()


def test_command_annotates_a_whole_dataset(
    dataset_path: Path,
    truth: Any,
    calibrated: Any,
    camera_json: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = tmp_path / "results" / "episodes"
    rejected = replace(calibrated, verdict=Verdict("rejected", ("no",)))
    for name, calibration in (
        (f"episode_000000/{truth.top}", calibrated),
        (f"episode_000001/{truth.top}", rejected),
        (f"episode_000002/{truth.side}", calibrated),
    ):
        (results / name).mkdir(parents=True)
        calibration.save(results / name)
    options = AnnotateOptions(
        recording=dataset_path,
        calibration=str(tmp_path / "results"),
        urdf=demo_urdf_path(),
        camera=camera_json,
        joint_names=(*(f"joint_{n}" for n in range(1, 8)), "_"),
        lerobot=tmp_path / "out",
        json=True,
    )
    with RunLog(["annotate"]) as log:
        run(options, log)
    printed = json.loads(capsys.readouterr().out)
    assert printed["annotated"] == [f"episode_000000/{truth.top}", f"episode_000002/{truth.side}"]
    assert "was rejected" in printed["left_out"][f"episode_000001/{truth.top}"]
    assert "there is no" in printed["left_out"][f"episode_000002/{truth.top}"]
    for index in range(3):
        rows = rows_of(tmp_path / "out", index)
        assert {row["annotation.top.annotated"] for row in rows} == {index == 0}
        assert {row["annotation.side.annotated"] for row in rows} == {index == 2}
    assert decoded(rows_of(tmp_path / "out", 0)[0]["annotation.top.link_masks"]).any()

    with RunLog(["annotate"]) as log, pytest.raises(AnnotationError, match="only --lerobot OUT"):
        run(replace(options, out=tmp_path / "folder"), log)
    shutil.rmtree(results / "episode_000000")
    one = Path(f"{dataset_path}#camera={truth.top}")
    with RunLog(["annotate"]) as log, pytest.raises(AnnotationError, match="no episode can be"):
        run(replace(options, recording=one, lerobot=tmp_path / "none"), log)
    assert not (tmp_path / "none").exists()


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
        run(options, log)
    rows = rows_of(tmp_path / "dataset", 1)
    assert all(row["annotation.top.annotated"] for row in rows)
    # Without masks and depth in --only, no pictures are written.
    assert "annotation.top.depth" not in rows[0]
    assert (tmp_path / "folder" / "trajectory.csv").is_file()
