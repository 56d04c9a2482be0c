# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report.document import collect
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot


def test_with_everything_nothing_is_missing(
    calibration: Calibration,
    simulated_recording: Recording,
    demo_robot: Robot,
    evidence: Evidence,
) -> None:
    document = collect(calibration, simulated_recording, demo_robot, evidence)
    panels = (document.frames, document.lag, document.convergence, *document.cloud)
    assert all(panel.svg for panel in panels)
    assert len(document.cloud) == 2
    pictures = document.photographs
    assert len(pictures.pairs) == 6
    assert pictures.mask is not None and pictures.track is not None and not pictures.missing


def test_an_old_calibration_alone_is_explained(bare: Calibration) -> None:
    document = collect(bare)
    panels = (document.frames, document.lag, document.convergence, *document.cloud)
    assert not any(panel.svg for panel in panels)
    assert all(panel.caption.endswith(".") for panel in panels)
    assert "recording was not at hand" in document.photographs.missing
    assert document.figures == document.settings == document.stage_times == ()


def test_without_evidence_the_recording_still_shows_the_robot(
    calibration: Calibration, simulated_recording: Recording, demo_robot: Robot
) -> None:
    document = collect(calibration, simulated_recording, demo_robot)
    assert len(document.photographs.pairs) == 6
    assert document.photographs.mask is not None
    assert document.photographs.track is None
    assert "The lag of the result is 12.0 ms" in document.lag.caption
    assert "moved the camera by" in document.convergence.caption


def test_another_recording_or_base_is_said(
    calibration: Calibration, simulated_recording: Recording, demo_robot: Robot
) -> None:
    shorter = simulated_recording.subset(range(3))
    document = collect(calibration, shorter, demo_robot)
    assert "is not what this was calibrated from" in document.photographs.missing
    # The cloud does not need the images.
    assert all(panel.svg for panel in document.cloud)
    assert "robot description" in collect(calibration, simulated_recording).photographs.missing


def test_a_rejected_pose_is_far_from_certain(calibration: Calibration) -> None:
    assert calibration.covariance is not None
    wide = replace(calibration, covariance=replace(calibration.covariance, matrix=4e-2 * np.eye(6)))
    assert "at true scale" in collect(wide).cloud[0].caption
