# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.collection.stream_checks import CameraInfoCheck
from calib_all_ros.recording.recording import RecordingError

SIZE = (64, 48)


@pytest.fixture
def check(scene: Any) -> CameraInfoCheck:
    return CameraInfoCheck(scene.ros)


def feed(check: CameraInfoCheck, *messages: Any) -> None:
    for message in messages:
        check.add(message.topic, message.data, message.log_ns)


def sentence(check: CameraInfoCheck, size: tuple[int, int] | None = SIZE, **options: Any) -> str:
    options = {"image_topic": "/cam/image_raw", "waited_s": 10.0, **options}
    findings = check.findings(image_size=size, **options)
    assert all(finding.level == "error" for finding in findings)
    return " | ".join(finding.sentence for finding in findings)


def test_that_fits(scene: Any, check: CameraInfoCheck) -> None:
    feed(check, scene.info(0.0), scene.info(0.1))
    assert check.count == 2
    assert sentence(check) == ""
    assert sentence(check, size=None) == ""


def test_that_is_missing(check: CameraInfoCheck) -> None:
    assert sentence(check, waited_s=1.0) == ""
    assert "no camera_info for /cam/image_raw yet" in sentence(check)
    assert "/cam/camera_info" in sentence(check)


def test_that_comes_late(scene: Any, check: CameraInfoCheck) -> None:
    assert sentence(check) != ""
    feed(check, scene.info(12.0))
    assert sentence(check) == ""


def test_that_is_uncalibrated(scene: Any, check: CameraInfoCheck) -> None:
    message = scene.ros.camera_info(1, scene.camera)
    message.k = np.zeros(9)
    check.add("/cam/camera_info", scene.ros.serialised(message, "sensor_msgs/msg/CameraInfo"), 1)
    assert "the camera on /cam/camera_info is uncalibrated (K is zero)" in sentence(check)


def test_that_is_for_another_size(scene: Any, check: CameraInfoCheck) -> None:
    feed(check, scene.info(0.0))
    said = sentence(check, size=(128, 96))
    assert "/cam/image_raw have 128x96 pixels" in said and "is for 64x48" in said


def test_that_changes(scene: Any, check: CameraInfoCheck) -> None:
    check.begin()
    K = scene.camera.K.copy()
    K[0, 0] = 70.0
    feed(check, scene.info(0.0), scene.info(2.5, replace(scene.camera, K=K)), scene.info(3.0))
    said = sentence(check)
    assert "changed 2.5 s into the recording (fx 60.00 became 70.00 px)" in said
    # What was before a recording does not count for it.
    check.begin()
    assert sentence(check) == ""


def test_that_is_none(check: CameraInfoCheck) -> None:
    with pytest.raises(RecordingError, match="/cam/camera_info is no camera_info"):
        check.add("/cam/camera_info", b"\0\1\0\0" + bytes(9), 1)
