# SPDX-License-Identifier: Apache-2.0
"""A calibration with all the evidence that a page can show, made up around a true pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.evidence.record import Evidence, LagCurve, TracePoint
from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import (
    Covariance,
    Finding,
    FrameQuality,
    Provenance,
    RobotRecord,
    Verdict,
)
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solving.mark import Mark, MarkTrack
from calib_all_ros.solving.observations import make_view

NUMBERS = (1, 4, 7, 10, 13, 16)
IOU = (0.91, 0.95, 0.42, 0.97, 0.93, 0.88)


@pytest.fixture(scope="session")
def calibration(simulated_recording: Recording, demo_robot: Robot) -> Calibration:
    """The true pose; image 7 was left out since it came late, image 16 was not measured."""
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None
    frames = tuple(
        FrameQuality(
            number,
            int(simulated_recording.image_stamps_ns[number]),
            iou,
            None if number == 16 else 0.3 + number / 100,
            lag_ms=381.0 if number == 7 else None,
            used=number != 7,
        )
        for number, iou in zip(NUMBERS, IOU, strict=True)
    )
    coarse = se3.from_rotvec(np.array([0.0, 0.02, 0.0]), np.array([0.06, 0.0, 0.0])) @ truth
    late = Finding(
        "images_late",
        "warning",
        "1 of 6 images shows the robot as it was 0.38 s earlier",
        "stamp images when they are exposed",
        2.0,
    )
    return Calibration(
        T_camera_base=truth,
        camera=simulated_recording.camera,
        robot=RobotRecord(demo_robot.name, demo_robot.kinematics.base_frame, "hand", "sha256:ab"),
        verdict=Verdict("warning", (late.sentence,), (late,)),
        provenance=Provenance(
            recording="/data/kitchen bag",
            fingerprint="ff00",
            package_version="0.1.0",
            created="2024-05-06T07:08:09+00:00",
            frames_used=tuple(number for number in NUMBERS if number != 7),
            settings=Settings(seed=3).to_mapping(),
            stage_times_s={"read": 0.5, "search": 5.25, "refine": 2.0},
        ),
        quality={
            "iou_median": 0.93,
            "contour_median_px": 0.34,
            "expected_position_mm": 1.24,
            "expected_rotation_deg": 0.061,
            "edge_share": 0.75,
            "brand_new_px": 3.0,
        },
        frames=frames,
        notes=("joint finger_joint was not recorded",),
        covariance=Covariance(np.diag([1e-6, 4e-6, 1e-6, 1e-7, 2e-7, 1e-7])),
        lag_ms=12.0,
        stages={"coarse": coarse, "refined": truth},
    )


@pytest.fixture(scope="session")
def evidence(
    calibration: Calibration, simulated_recording: Recording, demo_robot: Robot
) -> Evidence:
    """Masks, a mark that was lost for a while, a lag curve and the way to the result."""
    recorded = simulated_recording.masks
    assert recorded is not None
    masks = [recorded[number] for number in NUMBERS]
    lags_s = np.linspace(-0.3, 0.3, 31)
    agreement = 0.3 + 0.6 * np.exp(-((lags_s - 0.012) ** 2) / 0.005)
    trace = [
        TracePoint(
            stage,
            se3.from_rotvec([0.0, size, 0.0], [size, 0.0, 0.0]) @ calibration.T_camera_base,
            size,
        )
        for stage, size in (
            ("search", 0.5),
            ("search", 0.4),
            ("coarse", 0.1),
            ("refine", 0.01),
            ("refine", 1e-4),
            ("refine", 0.0),
        )
    ]
    return Evidence(
        make_view(simulated_recording.camera, 960),
        np.stack([mask for mask in masks if mask is not None]),
        track_of_the_hand(simulated_recording, demo_robot),
        "followed through 17 of 20 images",
        LagCurve(lags_s, agreement),
        tuple(trace),
    )


def track_of_the_hand(recording: Recording, robot: Robot) -> MarkTrack:
    positions, _ = recording.joints.at(recording.image_stamps_ns, robot.kinematics.joint_names)
    link = robot.kinematics.link_names.index("hand")
    T = recording.reference_T_camera_base @ robot.kinematics.forward(positions)[:, link]
    pixels = recording.camera.project(se3.transform(T, np.array([[0.02, 0.01, 0.05]]))[:, 0])
    pixels[8:11] = np.nan
    u, v = pixels[3]
    return MarkTrack(Mark((float(u), float(v)), 3, "hand"), np.arange(len(pixels)), pixels)


@pytest.fixture(scope="session")
def bare(calibration: Calibration) -> Calibration:
    """A calibration as an early version would have written it: the pose, hardly anything else."""
    return replace(
        calibration,
        verdict=Verdict("accepted"),
        provenance=Provenance("/data/old", "", "0.0"),
        quality={},
        frames=(),
        notes=(),
        covariance=None,
        lag_ms=None,
        stages={},
    )
