# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.camera_info import CameraInfo, camera_of
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.recording.ros_messages import RosMessages

K = np.array([[600.0, 0, 320.0], [0, 610.0, 240.0], [0, 0, 1]])
D = np.array([0.1, -0.05, 0.001, 0.002, 0.01])
INFO = CameraInfo(
    width=640,
    height=480,
    model="plumb_bob",
    D=D,
    K=K,
    P=np.hstack([K + np.diag([-50.0, -50, 0]), np.zeros((3, 1))]),
    binning=(1, 1),
    roi=(0, 0, 0, 0),
    frame_id="cam_optical_frame",
)


def camera(rectified: bool = False, **changes: object) -> Camera:
    return camera_of(replace(INFO, **changes), rectified=rectified, where="/cam/camera_info")


@pytest.mark.parametrize("is_ros2", [True, False])
def test_message_of_either_ros(is_ros2: bool) -> None:
    written = Camera(K, 640, 480, D, "plumb_bob", "cam_optical_frame")
    message = RosMessages(is_ros2=is_ros2).camera_info(5, written)
    read = camera_of(CameraInfo.from_message(message), rectified=False, where="x")
    np.testing.assert_array_equal(read.K, K)
    np.testing.assert_array_equal(read.distortion, D)
    assert (read.width, read.height, read.model) == (640, 480, "plumb_bob")
    assert read.frame_id == "cam_optical_frame"


@pytest.mark.parametrize(
    ("named", "count", "model"),
    [
        ("plumb_bob", 5, "plumb_bob"),
        ("rational_polynomial", 8, "rational_polynomial"),
        ("equidistant", 4, "equidistant"),
        ("fisheye", 4, "equidistant"),
    ],
)
def test_distortion_models(named: str, count: int, model: str) -> None:
    read = camera(model=named, D=np.full(count, 0.01))
    assert read.model == model
    assert read.distortion.tolist() == [0.01] * count


@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial", "", "anything"])
@pytest.mark.parametrize("count", [0, 5])
def test_no_distortion_is_a_pinhole(model: str, count: int) -> None:
    read = camera(model=model, D=np.zeros(count))
    assert read.is_pinhole and read.model == "pinhole"


def test_fisheye_without_coefficients_is_still_no_pinhole() -> None:
    read = camera(model="equidistant", D=np.zeros(0))
    sideways = read.project(np.array([1.0, 0.0, 1.0]))
    assert sideways[0] == pytest.approx(320 + 600 * np.pi / 4)


def test_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(RecordingError, match=r"/cam/camera_info.*'kannala'.*plumb_bob"):
        camera(model="kannala")


def test_uncalibrated_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"/cam/camera_info is uncalibrated \(K is zero\)"):
        camera(K=np.zeros((3, 3)))


def test_wrong_number_of_coefficients_names_the_topic() -> None:
    with pytest.raises(RecordingError, match=r"/cam/camera_info cannot be used.*3"):
        camera(D=np.ones(3))


def test_rectified_images_use_p_without_distortion() -> None:
    read = camera(rectified=True)
    assert read.K[0, 0] == 550.0 and read.is_pinhole


def test_rectified_without_p_is_refused_unless_nothing_is_distorted() -> None:
    with pytest.raises(RecordingError, match="P is zero"):
        camera(rectified=True, P=np.zeros((3, 4)))
    assert camera(rectified=True, P=np.zeros((3, 4)), D=np.zeros(5)).K[0, 0] == 600.0


def test_binning_scales_about_the_image_corner() -> None:
    full, binned = camera(D=np.zeros(5)), camera(D=np.zeros(5), binning=(2, 4))
    assert (binned.width, binned.height) == (320, 120)
    point = np.array([0.1, 0.2, 1.5])
    u, v = full.project(point)
    # The centre of the binned pixel (0, 0) lies between the full pixels 0 and 1 (0 and 3).
    np.testing.assert_allclose(binned.project(point), [(u - 0.5) / 2, (v - 1.5) / 4])


def test_region_of_interest_moves_the_image() -> None:
    full, part = camera(D=np.zeros(5)), camera(D=np.zeros(5), roi=(100, 40, 200, 160))
    assert (part.width, part.height) == (200, 160)
    point = np.array([0.1, 0.2, 1.5])
    np.testing.assert_allclose(part.project(point), full.project(point) - [100, 40])


def test_region_of_interest_comes_before_binning() -> None:
    part = camera(D=np.zeros(5), roi=(100, 40, 200, 160), binning=(2, 2))
    assert (part.width, part.height) == (100, 80)
    assert part.K[0, 2] == pytest.approx((320 - 100 - 0.5) / 2)


def test_changes_are_told_in_words() -> None:
    assert INFO.differs_from(INFO) is None
    rounding = replace(INFO, K=K + 1e-6)
    assert rounding.differs_from(INFO) is None
    zoomed = replace(INFO, K=K + np.diag([5.0, 5, 0]))
    assert zoomed.differs_from(INFO) == "fx 600.00 became 605.00 px"
    assert "1280" in (replace(INFO, width=1280).differs_from(INFO) or "")
