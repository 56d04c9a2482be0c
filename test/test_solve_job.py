# SPDX-License-Identifier: Apache-2.0
"""What surrounds a calibration, for the command line and the nodes alike."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.input_files import InputFiles
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import FrameQuality, Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot, demo_urdf_path
from calib_all_ros.solve_job import CalibrationJob, load_images, load_inputs


def test_robot_comes_from_the_recording_or_from_a_file(simulated_bag: Path) -> None:
    recording, own = load_inputs(InputFiles(simulated_bag))
    _, given = load_inputs(InputFiles(simulated_bag, urdf=demo_urdf_path()))
    assert len(recording) == 20
    assert own.description_hash == given.description_hash


def test_base_frame_can_be_chosen(simulated_bag: Path) -> None:
    _, robot = load_inputs(InputFiles(simulated_bag, base_frame="hand"))
    assert robot.kinematics.base_frame == "hand"


def test_wrong_path_to_the_robot_shows_before_the_recording_is_read(tmp_path: Path) -> None:
    files = InputFiles(tmp_path / "not read", urdf=tmp_path / "nowhere.urdf")
    with pytest.raises(CalibAllError, match=r"nowhere\.urdf"):
        load_images(files)


def test_no_description_names_both_ways_to_give_one(simulated_folder: Path, tmp_path: Path) -> None:
    for name in ("frames", "timestamps.json", "joint_states.json", "camera.json"):
        (tmp_path / name).symlink_to(simulated_folder / name)
    with pytest.raises(CalibAllError, match=r"--urdf FILE.*parameter urdf"):
        load_inputs(InputFiles(tmp_path))


def test_results_carry_the_time_of_all_stages(
    simulated_recording: Recording, demo_robot: Robot, tmp_path: Path
) -> None:
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None
    calibration = Calibration(
        T_camera_base=truth,
        camera=simulated_recording.camera,
        robot=RobotRecord(demo_robot.name, demo_robot.kinematics.base_frame),
        verdict=Verdict("accepted"),
        provenance=Provenance("simulated", "", "0", stage_times_s={"search": 2.0}),
        frames=(FrameQuality(3, int(simulated_recording.image_stamps_ns[3]), 0.9),),
    )
    saved = CalibrationJob(simulated_recording, demo_robot, read_s=1.5).save(tmp_path, calibration)
    times = saved.provenance.stage_times_s
    assert list(times) == ["read", "search", "pictures", "report"]
    assert (times["read"], times["search"]) == (1.5, 2.0)
    read = Calibration.load(tmp_path)
    assert read.provenance.stage_times_s == times
    np.testing.assert_array_equal(read.T_camera_base, truth)
    assert {path.suffix for path in tmp_path.iterdir()} == {".yaml", ".png", ".html"}


def test_warnings_are_logged(
    simulated_folder: Path,
    simulated_recording: Recording,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warned = replace(
        simulated_recording, urdf=demo_urdf_path().read_text(), warnings=("half is missing",)
    )
    monkeypatch.setattr("calib_all_ros.solve_job.load_recording", lambda *a, **k: warned)
    with caplog.at_level(logging.WARNING):
        load_inputs(InputFiles(simulated_folder))
    assert "half is missing" in caplog.messages
