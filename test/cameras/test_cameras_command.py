# SPDX-License-Identifier: Apache-2.0
"""`calib_all cameras`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from calib_all_ros import solve_job
from calib_all_ros.calibration import calibrate as really_calibrate
from calib_all_ros.cli import parse
from calib_all_ros.commands import cameras
from calib_all_ros.commands.cameras import camera_inputs, clock_groups, run
from calib_all_ros.commands.options import CamerasOptions, CommandError
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import Recording, RecordingError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.run_log import RunLog

TOPICS = ("/left/image_raw/compressed", "/right/image_raw/compressed")


@pytest.fixture(scope="module")
def bag(two_views: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both cameras and their masks in one bag."""
    path: Path = tmp_path_factory.mktemp("cameras") / "bag"
    two_views.write_bag(path, ("left", "right"))
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, two_views: Any) -> Path:
    path = tmp_path_factory.mktemp("cameras") / "settings.yaml"
    path.write_text(yaml.safe_dump(two_views.settings().to_mapping()))
    return path


def test_example(run_example: Callable[..., str], bag: Path) -> None:
    printed = run_example(7, bag, "/left/image_raw", "/right/image_raw")
    assert re.search(r"^/right/image_raw is at .+ m as seen from /left/image_raw$", printed, re.M)


def test_results_of_each_camera_and_of_all(
    bag: Path,
    config: Path,
    two_views: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = CamerasOptions(
        recording=bag,
        out=tmp_path / "out",
        image_topics=("/left/image_raw", "/right/image_raw"),
        camera_masks=("/left/mask", "/right/mask"),
        config=config,
        frames=8,
        json=True,
    )
    with RunLog(["cameras"]) as log:
        assert run(options, log) == 0
    printed = json.loads(capsys.readouterr().out)
    written = yaml.safe_load((tmp_path / "out" / "cameras.yaml").read_text())
    assert list(written["cameras"]) == list(printed["cameras"]) == ["left", "right"]
    assert written["joint_refinement"]["clocks"] == [["left", "right"]]
    assert [line.split()[-1] for line in written["paste"]["static_transform_publisher"]] == [
        "left_optical_frame",
        "right_optical_frame",
    ]
    calibrations = [Calibration.load(tmp_path / "out" / name) for name in ("left", "right")]
    for calibration, view in zip(calibrations, two_views.views, strict=True):
        degrees, metres = se3.difference(calibration.T_camera_base, view.T_camera_base)
        assert degrees < 0.2
        assert metres < 0.004
    (pair,) = written["relative_poses"]
    first, second = calibrations
    np.testing.assert_allclose(
        pair["T_a_b"]["matrix"], first.T_camera_base @ second.T_base_camera, atol=1e-9
    )
    assert "camera b along the axes of camera a" in pair["covariance"]["frame"]
    for name in ("left", "right"):
        names = {path.name for path in (tmp_path / "out" / name).iterdir()}
        assert {"calibration.yaml", "report.html"} <= names
        assert any(name.startswith("overlay_") for name in names)


def test_all_cameras_with_intrinsics_are_found(bag: Path, tmp_path: Path) -> None:
    found = camera_inputs(CamerasOptions(recording=bag, out=tmp_path))
    assert [(each.name, each.topic) for each in found] == [
        ("left", TOPICS[0]),
        ("right", TOPICS[1]),
    ]
    assert [each.files.masks for each in found] == ["auto", "auto"]


def test_what_is_given_for_each_camera_goes_to_it(bag: Path, tmp_path: Path) -> None:
    options = CamerasOptions(
        recording=bag,
        out=tmp_path,
        image_topics=("/right/image_raw", "/left/image_raw"),
        camera_files=(Path("r.yaml"), Path("l.yaml")),
        camera_masks=("images",),
    )
    right, left = camera_inputs(options)
    assert (right.name, right.files.image_topic) == ("right", "/right/image_raw")
    assert (right.files.camera, left.files.camera) == (Path("r.yaml"), Path("l.yaml"))
    assert (left.files.masks, left.mask_source) == ("auto", "images")


def test_cameras_that_cannot_be_told_apart_get_longer_names(bag: Path, tmp_path: Path) -> None:
    options = CamerasOptions(recording=bag, out=tmp_path, image_topics=("/rig/left", "/rig/right"))
    assert [each.name for each in camera_inputs(options)] == ["rig_left", "rig_right"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"image_topics": ("/left/image_raw",)}, "only the images of /left/image_raw"),
        ({"image_topics": ("/left/image_raw",) * 2}, "named twice"),
        ({"camera_files": (Path("a.yaml"),) * 2}, "name the cameras, too: /left/image_raw"),
        ({"image_topics": TOPICS, "camera_files": (Path("a"),)}, "--camera is given 1 time"),
        ({"image_topics": TOPICS, "camera_masks": ("a", "b", "c")}, "--masks is given 3 time"),
    ],
)
def test_arguments_that_do_not_go_together(
    bag: Path, tmp_path: Path, wrong: dict[str, Any], sentence: str
) -> None:
    options = replace(CamerasOptions(recording=bag, out=tmp_path), **wrong)
    with pytest.raises(CommandError, match=sentence):
        camera_inputs(options)


def test_cameras_of_an_episode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset, names = tmp_path / "set", ("observation.images.top", "observation.images.wrist")
    found = tuple(EpisodeRef(name, "lerobot", dataset, 3, name) for name in names)
    monkeypatch.setattr(cameras, "find_episodes", lambda _: found)
    options = CamerasOptions(recording=Path(f"{dataset}#episode=3"), out=tmp_path)
    inputs = camera_inputs(options)
    assert [each.name for each in inputs] == ["top", "wrist"]
    assert str(inputs[1].files.recording) == f"{dataset}#episode=3,camera={names[1]}"
    two = (*found, replace(found[0], episode=4))
    monkeypatch.setattr(cameras, "find_episodes", lambda _: two)
    with pytest.raises(CommandError, match="several recordings"):
        camera_inputs(options)


def test_recordings_without_several_cameras(tmp_path: Path) -> None:
    (tmp_path / "folder" / "frames").mkdir(parents=True)
    with pytest.raises(CommandError, match="images of one camera only"):
        camera_inputs(CamerasOptions(recording=tmp_path / "folder", out=tmp_path))
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(b"no bag")
    with pytest.raises(RecordingError, match=r"broken\.mcap"):
        camera_inputs(CamerasOptions(recording=broken, out=tmp_path))


def test_errors_name_the_camera(bag: Path, config: Path, tmp_path: Path) -> None:
    options = CamerasOptions(
        recording=bag,
        out=tmp_path / "out",
        image_topics=("/left/image_raw", "/rear/image_raw"),
        config=config,
    )
    with RunLog(["cameras"]) as log, pytest.raises(CommandError, match=r"camera rear: .*no image"):
        run(options, log)
    assert not (tmp_path / "out").exists()


def test_clocks_by_names_and_topics(bag: Path, tmp_path: Path) -> None:
    inputs = camera_inputs(CamerasOptions(recording=bag, out=tmp_path))
    assert clock_groups((), inputs) is None
    assert clock_groups(("auto",), inputs) is None
    assert clock_groups(("own",), inputs) == []
    assert clock_groups(("one",), inputs) == [["left", "right"]]
    assert clock_groups((f"left, {TOPICS[1]}",), inputs) == [["left", "right"]]
    with pytest.raises(CommandError, match=r"no camera 'middle'.*left, right"):
        clock_groups(("left,middle",), inputs)
    with pytest.raises(CommandError, match="on a clock already"):
        clock_groups(("left", "left,right"), inputs)


def test_arguments_become_options() -> None:
    given = "--image-topic /a --image-topic /b --clock one --masks images"
    options = parse(["cameras", "bag", "--out", "o", *given.split()])[1]
    assert (options.image_topics, options.clocks) == (("/a", "/b"), ("one",))


def test_one_camera_that_fails_leaves_the_others(
    bag: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calibrate(recording: Recording, *arguments: Any, **settings: Any) -> Any:
        if recording.camera.frame_id in failing:
            raise RecordingError(f"nothing moves before {recording.camera.frame_id}")
        return really_calibrate(recording, *arguments, **settings)

    monkeypatch.setattr(solve_job, "calibrate", calibrate)
    options = CamerasOptions(
        recording=bag,
        out=tmp_path / "out",
        image_topics=TOPICS,
        camera_masks=("/left/mask", "/right/mask"),
        config=config,
        frames=8,
        quiet=True,
    )
    failing = {"left_optical_frame"}
    with RunLog(["cameras"]) as log:
        assert run(options, log) == 3
    written = yaml.safe_load((tmp_path / "out" / "cameras.yaml").read_text())
    assert list(written["cameras"]) == ["right"]
    sentence = "camera left: nothing moves before left_optical_frame"
    assert written["verdict"]["reasons"][0] == sentence
    assert f"{sentence}; it has no folder" in written["notes"]
    assert Calibration.load(tmp_path / "out" / "right").verdict.status == "accepted"
    assert not (tmp_path / "out" / "left").exists()

    failing.add("right_optical_frame")
    with RunLog(["cameras"]) as log, pytest.raises(CommandError, match=sentence):
        run(replace(options, out=tmp_path / "none"), log)
    assert not (tmp_path / "none").exists()
