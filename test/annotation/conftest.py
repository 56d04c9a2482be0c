# SPDX-License-Identifier: Apache-2.0
"""The simulated recording with its true calibration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording, annotated_recording
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot


@pytest.fixture(scope="session")
def true_calibration() -> Callable[[Recording, Robot], Calibration]:
    """Return what makes a calibration of a recording's truth."""

    def make(recording: Recording, robot: Robot) -> Calibration:
        assert recording.reference_T_camera_base is not None
        return Calibration(
            recording.reference_T_camera_base,
            recording.camera,
            RobotRecord(robot.name, robot.kinematics.base_frame),
            Verdict("accepted"),
            Provenance("simulated", "", "0"),
        )

    return make


@pytest.fixture(scope="session")
def calibration(
    simulated_recording: Recording,
    demo_robot: Robot,
    true_calibration: Callable[[Recording, Robot], Calibration],
) -> Calibration:
    return true_calibration(simulated_recording, demo_robot)


@pytest.fixture(scope="session")
def annotated(
    simulated_recording: Recording, demo_robot: Robot, calibration: Calibration
) -> AnnotatedRecording:
    return annotated_recording(simulated_recording, demo_robot, calibration)


@pytest.fixture(scope="session")
def annotations(annotated: AnnotatedRecording) -> list[FrameAnnotation]:
    """The first frames."""
    return list(annotated.annotations(np.arange(4).tolist()))
