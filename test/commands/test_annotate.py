# SPDX-License-Identifier: Apache-2.0
"""`calib_all annotate`: what it reads, refuses, prints and writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.annotation.folder import PARTS
from calib_all_ros.cli import parse
from calib_all_ros.commands.annotate import run
from calib_all_ros.commands.options import CommandError
from calib_all_ros.commands.result_options import PARTS as NAMED
from calib_all_ros.commands.result_options import AnnotateOptions
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import Robot


@pytest.fixture(scope="module")
def result(simulated_recording: Recording, demo_robot: Robot) -> Calibration:
    assert simulated_recording.reference_T_camera_base is not None
    return Calibration(
        simulated_recording.reference_T_camera_base,
        simulated_recording.camera,
        RobotRecord(demo_robot.name, "base_link", None, demo_robot.description_hash),
        Verdict("accepted"),
        Provenance("simulated", "", "0"),
    )


@pytest.fixture
def saved(result: Calibration, tmp_path: Path) -> Callable[..., str]:
    """Save the result, changed as asked, and return its path."""

    def save(**changes: Any) -> str:
        return str(replace(result, **changes).save(tmp_path / "calibration.yaml"))

    return save


def options_of(arguments: Sequence[str]) -> AnnotateOptions:
    options = parse(["annotate", *arguments])[1]
    assert isinstance(options, AnnotateOptions)
    return options


def annotate(*arguments: str | Path) -> None:
    with RunLog(["annotate"]) as log:
        run(options_of([str(argument) for argument in arguments]), log)


def test_folder_and_summary(
    simulated_folder: Path,
    saved: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    annotate(simulated_folder, "--calibration", saved(), "--out", out, "--every", "10", "--json")
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames"], summary["frames_in_recording"]) == (2, 20)
    assert summary["eef_link"] == "hand" and summary["written"] == [str(out)]
    names = {path.name for path in out.iterdir()}
    folders = {"depth_png", "depth_npy", "link_masks", "gripper_masks"}
    files = {"coco.json", "trajectory.csv", "annotated.mp4", "links.csv", "annotations.json"}
    assert names == folders | files | {"calib_all.log"}
    document = json.loads((out / "annotations.json").read_text())
    assert document["verdict"] == "accepted" and document["recording"] == str(simulated_folder)


def test_table_for_people(
    simulated_folder: Path,
    saved: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calibration = saved(
        verdict=Verdict("warning", ("few images",)),
        robot=RobotRecord("demo_arm", "base_link", None, "another"),
    )
    arguments = ("--calibration", calibration, "--out", tmp_path / "out", "--only", "trajectory")
    annotate(simulated_folder, *arguments)
    printed = capsys.readouterr().out
    assert "frames annotated   20 of 20" in printed
    assert "the verdict on" in printed and "few images" in printed
    assert "was made with another robot description" in printed


def test_links_can_be_named(
    simulated_folder: Path, saved: Callable[..., str], tmp_path: Path
) -> None:
    arguments = ("--eef-link", "flange", "--gripper-links", "left_finger,right_finger")
    only = ("--only", "depth,gripper", "--every", "20")
    annotate(
        simulated_folder, "--calibration", saved(), "--out", tmp_path / "out", *arguments, *only
    )
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert document["end_effector"]["link"] == "flange"
    assert document["end_effector"]["gripper_links"] == ["left_finger", "right_finger"]
    assert list(document["parts"]) == ["depth_png", "depth_npy", "gripper"]


def test_bag(simulated_bag: Path, saved: Callable[..., str], tmp_path: Path) -> None:
    annotate(simulated_bag, "--calibration", saved(), "--bag", tmp_path / "out", "--every", "10")
    assert (tmp_path / "out" / "metadata.yaml").is_file()


def test_rejected_calibration_needs_force(
    simulated_folder: Path, saved: Callable[..., str], tmp_path: Path
) -> None:
    calibration = saved(verdict=Verdict("rejected", ("nothing fits",)))
    arguments = ("--calibration", calibration, "--out", tmp_path / "out", "--only", "trajectory")
    with pytest.raises(CommandError, match=r"was rejected \(nothing fits\): calibrate"):
        annotate(simulated_folder, *arguments)
    assert not (tmp_path / "out").exists()
    annotate(simulated_folder, *arguments, "--force", "-q")
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert document["verdict"] == "rejected"


def test_calibration_of_another_camera_or_robot_is_refused(
    simulated_folder: Path, result: Calibration, saved: Callable[..., str], tmp_path: Path
) -> None:
    large = saved(camera=replace(result.camera, width=640, height=480))
    with pytest.raises(CommandError, match=r"640x480 pixels, the images of .* 320x240"):
        annotate(simulated_folder, "--calibration", large, "--out", tmp_path / "out", "--force")
    other = saved(robot=RobotRecord("panda", "base_link", None, ""))
    with pytest.raises(CommandError, match="is of the robot 'panda'"):
        annotate(simulated_folder, "--calibration", other, "--out", tmp_path / "out")
    arguments = ("--out", tmp_path / "out", "--only", "trajectory", "--force", "-q")
    annotate(simulated_folder, "--calibration", other, *arguments)


def test_base_frame_of_the_calibration_is_taken(
    simulated_folder: Path, result: Calibration, saved: Callable[..., str], tmp_path: Path
) -> None:
    """A result that speaks of the shoulder annotates with the shoulder as base."""
    changed = saved(robot=RobotRecord("demo_arm", "shoulder_link", None, ""))
    arguments = ("--out", tmp_path / "out", "--only", "trajectory", "--every", "20", "-q")
    annotate(simulated_folder, "--calibration", changed, *arguments)
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert document["base_frame"] == "shoulder_link"
    np.testing.assert_allclose(document["T_camera_base"], result.T_camera_base)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to write: give --out DIR, --bag OUT or --lerobot OUT"),
        (("--out", "{tmp}/out", "--only", "colours"), "no part 'colours' for --only"),
        (("--out", "{tmp}"), "is not empty: name a new folder"),
        (("--bag", "{tmp}/out"), "--bag copies a bag"),
        (("--lerobot", "{tmp}/out"), "--lerobot copies a LeRobot dataset"),
        (("--out", "{tmp}/out", "--eef-link", "thumb"), "no link 'thumb'"),
    ],
)
def test_bad_usage_is_told_and_leaves_nothing(
    simulated_folder: Path,
    saved: Callable[..., str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    calibration = saved()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Exception, match=message) as caught:
        annotate(simulated_folder, "--calibration", calibration, *filled)
    assert type(caught.value).__name__ in ("AnnotationError", "RobotError")
    assert sorted(tmp_path.iterdir()) == before


def test_arguments() -> None:
    options = options_of(["bag", "--calibration", "kitchen", "--out", "o", "--every", "3"])
    assert (options.calibration, options.every, options.only) == ("kitchen", 3, None)
    for wrong in (["--every", "0"], ["--every", "x"]):
        with pytest.raises(CommandError, match="not a whole number from 1"):
            options_of(["bag", "--calibration", "kitchen", *wrong])
    with pytest.raises(CommandError, match="--calibration"):
        options_of(["bag", "--out", "o"])


def test_help_names_the_parts_that_there_are() -> None:
    for part in PARTS:
        assert part in NAMED
