# SPDX-License-Identifier: Apache-2.0
"""The calibrator's long work, in its process and outside; needs no ROS."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.calibration import Mark, calibrate
from calib_all_ros.input_files import InputFiles
from calib_all_ros.nodes.solve_requests import (
    GivenMark,
    MarkImage,
    ShowMarkImage,
    Solve,
    Solved,
    mark_of,
)
from calib_all_ros.nodes.worker_process import Done, Failed, Message, StageProgress, WorkerProcess
from calib_all_ros.pictures.output_folder import RESULT_PICTURES
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.settings import Settings
from calib_all_ros.solve_job import load_inputs

QUICK = Settings.from_mapping(
    {
        "frames": {"count": 8},
        "search": {"hypotheses": 2500, "candidates": 16, "finalists": 2, "attempts": 1},
    }
)
HEAVY = ("rclpy", "scipy", "cv2", "numba", "trimesh", "rosbags", "yourdfpy", "matplotlib")
PATIENCE_S = 120.0


def all_messages(worker: WorkerProcess) -> list[Message]:
    heard: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while not (heard and isinstance(heard[-1], Done | Failed)):
        assert time.monotonic() < deadline, heard
        time.sleep(0.01)
        heard += worker.messages()
    worker.close()
    return heard


def test_the_worker_does_what_calibrate_does(simulated_bag: Path, tmp_path: Path) -> None:
    files = InputFiles(simulated_bag, masks="recorded")
    mark = GivenMark((160.0, 120.0), "hand")
    heard = all_messages(
        WorkerProcess(Solve(files, QUICK, mark, "hand"), tmp_path, RESULT_PICTURES)
    )
    assert isinstance(heard[-1], Done), heard[-1]
    solved = heard[-1].result
    assert isinstance(solved, Solved)
    recording, robot = load_inputs(files)
    expected = calibrate(
        recording, robot, mark=Mark((160.0, 120.0), 0, "hand"), settings=QUICK
    ).calibration
    np.testing.assert_allclose(
        solved.calibration.T_camera_base, expected.T_camera_base, rtol=0, atol=1e-9
    )
    assert solved.calibration.verdict == expected.verdict
    assert solved.calibration.robot.eef_link == "hand"
    saved = Calibration.load(tmp_path)
    np.testing.assert_array_equal(saved.T_camera_base, solved.calibration.T_camera_base)
    assert {"read", "pictures", "report"} < set(saved.provenance.stage_times_s)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"calibration.yaml", "calib_all.log", "contact_sheet.png", "report.html"} < names
    assert "verdict: accepted" in (tmp_path / "calib_all.log").read_text()
    stages = list(dict.fromkeys(m.stage for m in heard if isinstance(m, StageProgress)))
    assert stages[:3] == ["read", "prepare", "mark"] and stages[-2:] == ["pictures", "report"]
    # The report has what only the solve knows.
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The mark on hand" in report
    display = solved.display
    assert display.overlay.shape == (240, 320, 3) and display.track is not None
    assert display.path_link == "hand" and display.path.shape == (20, 3)


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    files = InputFiles(tmp_path / "nowhere")
    (failed,) = all_messages(WorkerProcess(Solve(files, QUICK), tmp_path / "out"))[-1:]
    assert isinstance(failed, Failed) and not failed.internal
    assert "nowhere does not exist" in failed.sentence
    assert not (tmp_path / "out").exists()


def test_an_image_to_mark_a_point_in(simulated_bag: Path, simulated_recording: Recording) -> None:
    shown = all_messages(WorkerProcess(ShowMarkImage(InputFiles(simulated_bag), 3)))[-1]
    assert isinstance(shown, Done) and isinstance(shown.result, MarkImage)
    image = shown.result
    assert image.stamp_ns == simulated_recording.image_stamps_ns[3]
    assert image.frame_id == simulated_recording.camera.frame_id
    difference = image.image.astype(int) - simulated_recording.images[3]
    assert np.abs(difference).mean() < 5.0


def test_an_image_that_is_not_there(simulated_bag: Path) -> None:
    failed = all_messages(WorkerProcess(ShowMarkImage(InputFiles(simulated_bag), 20)))[-1]
    assert isinstance(failed, Failed) and "images 0 to 19" in failed.sentence


@pytest.mark.parametrize(("after_ns", "frame"), [(0, 7), (100_000_000, 7), (-100_000_000, 7)])
def test_a_stamp_tells_the_image_of_a_mark(
    simulated_recording: Recording, after_ns: int, frame: int
) -> None:
    stamp_ns = int(simulated_recording.image_stamps_ns[7]) + after_ns
    given = GivenMark((3.0, 4.0), "hand", 2, stamp_ns)
    assert mark_of(given, simulated_recording) == Mark((3.0, 4.0), frame, "hand")


def test_a_stamp_of_something_else_is_told(
    simulated_recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    stamp_ns = int(simulated_recording.image_stamps_ns[-1]) + 3_000_000_000
    given = GivenMark((3.0, 4.0), "hand", 2, stamp_ns)
    with caplog.at_level(logging.WARNING):
        assert mark_of(given, simulated_recording).frame == 2
        assert mark_of(replace(given, stamp_ns=None), simulated_recording).frame == 2
    (record,) = caplog.records
    assert "taken for one in image 2" in record.getMessage()


def output_of(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_asking_for_work_imports_nothing_heavy() -> None:
    imported = output_of(
        "import sys, calib_all_ros.nodes.solve_requests, calib_all_ros.nodes.worker_process\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)))"
    )
    assert imported == "[]\n"


def test_the_work_imports_no_ros() -> None:
    imported = "import sys, calib_all_ros.nodes.solve_requests, calib_all_ros.solve_job\n"
    assert output_of(f"{imported}print('rclpy' in sys.modules)") == "False\n"
