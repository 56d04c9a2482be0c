# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib_all_ros.diagnosis.scene_images import SceneImages
from calib_all_ros.diagnosis.scene_motion import background_motion, steadied

WIDTH, HEIGHT, COUNT = 320, 240, 10


def wall(cell_px: int = 8) -> np.ndarray:
    cells = np.random.default_rng(0).integers(30, 220, (480 // cell_px, 640 // cell_px))
    return cv2.resize(cells.astype(np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)


def view(du: float, dv: float, roll_deg: float = 0.0) -> np.ndarray:
    M = cv2.getRotationMatrix2D((320.0, 240.0), roll_deg, 1.0)
    M[:, 2] += [du - 160.0, dv - 120.0]
    return cv2.warpAffine(wall(), M, (WIDTH, HEIGHT))


def scene(images: list[np.ndarray], scale: float = 1.0) -> SceneImages:
    """Grey images, said to be the given part of the solve's size."""
    grey = np.stack(images)
    nothing = np.zeros(grey.shape, dtype=bool)
    return SceneImages(
        numbers=np.arange(len(grey)),
        seconds=0.1 * np.arange(len(grey)),
        small=np.repeat(grey[..., None], 3, axis=3),
        grey=grey,
        robot=nothing,
        covered=nothing,
        scale=scale,
        grey_scale=scale,
        focal_px=300.0,
    )


def test_still_camera() -> None:
    motion = background_motion(scene([view(0, 0)] * COUNT))
    assert motion is not None and motion.known.all()
    assert np.abs(motion.displacement_px).max() < 0.05


@pytest.mark.parametrize("shift", [(1.3, -0.6), (0.0, 14.0), (-70.0, 40.0)])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_displaced_camera(shift: tuple[float, float], scale: float) -> None:
    images = [view(0, 0)] * 6 + [view(*shift)] * 4
    motion = background_motion(scene(images, scale))
    assert motion is not None and motion.known.all()
    expected = np.broadcast_to(np.array(shift) / scale, motion.displacement_px[6:].shape)
    tolerance = (0.15 + 0.005 * np.hypot(*shift)) / scale
    np.testing.assert_allclose(motion.displacement_px[6:], expected, atol=tolerance)
    assert np.abs(motion.displacement_px[:6]).max() < 0.15 / scale


def test_something_textured_that_moves_is_voted_down() -> None:
    images = []
    for i in range(COUNT):
        image = view(0, 0).copy()
        image[60:180, 20 * i : 20 * i + 100] = wall(5)[300:420, 300:400]
        images.append(image)
    motion = background_motion(scene(images))
    assert motion is not None
    assert np.nanmax(np.abs(motion.displacement_px)) < 0.3


@pytest.mark.parametrize("grey", [0, 128])
def test_nothing_is_said_of_a_blank_wall(grey: int) -> None:
    blank = np.full((HEIGHT, WIDTH), grey, np.uint8)
    assert background_motion(scene([blank] * COUNT)) is None


def test_nothing_is_said_of_a_blank_wall_with_something_that_moves() -> None:
    images = []
    for i in range(COUNT):
        image = np.full((HEIGHT, WIDTH), 128, np.uint8)
        image[90:150, 20 * i : 20 * i + 60] = wall(5)[300:360, 300:360]
        images.append(image)
    assert background_motion(scene(images)) is None


def test_few_images_say_nothing() -> None:
    assert background_motion(scene([view(0, 0)] * 3)) is None


def test_steadied_images_are_alike() -> None:
    seen = scene([view(0, 0)] * 6 + [view(9.0, -5.0, 1.0)] * 4, scale=0.5)
    images, unseen = steadied(seen, background_motion(seen))
    assert unseen[8].any() and not unseen[:6].any()
    inner = np.s_[20:-20, 20:-20]
    raw = np.abs(seen.small[8][inner].astype(float) - seen.small[2][inner]).mean()
    left = np.abs(images[8][inner].astype(float) - images[2][inner]).mean()
    assert left < 0.2 * raw


def test_without_motion_images_stay_as_they_are() -> None:
    seen = scene([view(0, 0)] * 3)
    images, unseen = steadied(seen, None)
    np.testing.assert_array_equal(images, seen.small)
    assert not unseen.any()
