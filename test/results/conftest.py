# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import (
    Covariance,
    Finding,
    FrameQuality,
    Provenance,
    RobotRecord,
    Verdict,
)


@pytest.fixture
def calibration() -> Calibration:
    T = se3.from_rotvec(np.array([0.3, 2.0, 0.1]), np.array([0.1, 1 / 3, 2.0]))
    return Calibration(
        T_camera_base=T,
        camera=Camera(
            K=np.array([[600.1, 0.0, 319.7], [0.0, 600.3, 239.2], [0.0, 0.0, 1.0]]),
            width=640,
            height=480,
            distortion=np.array([0.1, -0.02, 1e-7, 0.0, 1 / 7]),
            model="plumb_bob",
            frame_id="kitchen_optical_frame",
        ),
        robot=RobotRecord("panda", "panda_link0", "panda_hand", "sha256:abc"),
        verdict=Verdict(
            "warning",
            ("Only 3 frames fit: check the clocks.", "Köln: masks thin."),
            (
                Finding("images_late", "warning", "Only 3 frames fit", "check the clocks.", 2.5),
                Finding("light_changed", "note", "it got darker", "draw the curtains"),
            ),
        ),
        provenance=Provenance(
            recording="/data/bag one",
            fingerprint="ff00",
            package_version="0.1.0",
            created="2024-05-06T07:08:09+00:00",
            frames_used=(0, 4, 9),
            settings={"search": {"seeds": (1, 2), "name": None}, "fast": True},
            stage_times_s={"search": 5.25},
        ),
        quality={"iou_mean": 0.912345678901234, "contour_median_px": 1e-07},
        frames=(
            FrameQuality(0, 1760100999657378684, 0.9, None, 1e-7),
            FrameQuality(1, 1760100999757378684, used=False),
        ),
        covariance=Covariance(np.diag([1e-6, 2e-6, 3e-6, 4e-8, 5e-8, 1 / 3e8])),
        lag_ms=3,
        point_offset_m=np.array([0.01, -0.02, 1 / 30]),
        focal_scale=None,
        joint_offsets={"joint1": 0.001, "joint2": -0.0025},
        mask_bias_px=-0.7,
        stages={"coarse": T},
    )
