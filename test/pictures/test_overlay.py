# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib_all_ros.pictures.overlay import (
    AFTER,
    BEFORE,
    LegendEntry,
    before_after,
    draw_outline,
    with_caption,
)

GREY = np.full((120, 160, 3), 90, dtype=np.uint8)


def disc(radius: float = 30.0, centre: tuple[float, float] = (80.0, 60.0)) -> np.ndarray:
    y, x = np.mgrid[:120, :160]
    return np.hypot(x - centre[0], y - centre[1]) <= radius


def painted(image: np.ndarray) -> np.ndarray:
    return (image != 90).any(axis=2)


def test_outline_runs_along_the_boundary() -> None:
    strength = draw_outline(GREY, disc(), (0, 255, 0))[:, :, 1].astype(float) - 90
    y, x = np.nonzero(strength)
    distance = np.hypot(x - 80.0, y - 60.0)
    assert np.abs(distance - 30.0).max() < 2.0
    assert np.average(distance, weights=strength[y, x]) == pytest.approx(30.0, abs=0.25)
    angles = np.histogram(np.arctan2(y - 60.0, x - 80.0), bins=36)[0]
    assert (angles > 0).all()


def test_holes_are_outlined_too() -> None:
    ring = disc(40) & ~disc(15)
    y, x = np.nonzero(painted(draw_outline(GREY, ring, (0, 255, 0))))
    distance = np.hypot(x - 80.0, y - 60.0)
    assert (np.abs(distance - 15) < 2).sum() > 60
    assert (np.minimum(np.abs(distance - 15), np.abs(distance - 40)) < 2).all()


def test_dashes_leave_gaps() -> None:
    full = painted(draw_outline(GREY, disc(), (0, 255, 0))).sum()
    dashed = painted(draw_outline(GREY, disc(), (0, 255, 0), dashed=True)).sum()
    assert 0.35 * full < dashed < 0.85 * full


def test_input_is_left_alone_and_empty_masks_draw_nothing() -> None:
    image = GREY.copy()
    drawn = draw_outline(image, np.zeros((120, 160), dtype=bool), (255, 0, 0))
    assert not painted(image).any()
    assert not painted(drawn).any()
    assert drawn is not image


def test_mask_filling_the_image_is_outlined_at_its_border() -> None:
    drawn = painted(draw_outline(GREY, np.ones((120, 160), dtype=bool), (255, 0, 0)))
    assert drawn[0].all()
    assert drawn[:, -1].all()
    assert not drawn[3:-3, 3:-3].any()


def test_before_after_shows_both_colours_below_the_text() -> None:
    picture = before_after(GREY, disc(centre=(50, 60)), disc(centre=(100, 60)), None, "frame 3")
    below = picture[-120:]
    assert picture.shape[0] > 120
    assert picture.shape[1] == 160
    for colour, centre in ((BEFORE, (50, 60)), (AFTER, (100, 60))):
        change = below.astype(float) - 90
        direction = (np.array(colour) - 90) / np.linalg.norm(np.array(colour) - 90)
        length = np.linalg.norm(change, axis=2)
        y, x = np.nonzero((length > 20) & (change @ direction > 0.95 * length))
        assert len(x) > 20
        assert np.abs(np.hypot(x - centre[0], y - centre[1]) - 30).max() < 2
    assert not painted(below)[:25].any()


def test_target_is_tinted() -> None:
    picture = before_after(GREY, None, disc(10), disc(40), "frame 3")[-120:]
    assert tuple(picture[60, 80]) != (90, 90, 90)
    assert tuple(picture[5, 5]) == (90, 90, 90)


@pytest.mark.parametrize("width", [200, 640])
def test_captions_fit(width: int) -> None:
    image = np.zeros((50, width, 3), dtype=np.uint8)
    caption = "frame 12, IoU 0.91 to 0.98, contour 0.83 px, lag 12.3 ms"
    legend = [LegendEntry("before", BEFORE, dashed=True), LegendEntry("after", AFTER)]
    captioned = with_caption(image, caption, legend)
    bar = captioned[:-50].astype(int)
    np.testing.assert_array_equal(captioned[-50:], image)
    assert (bar.max(axis=2) > 150).sum() > 300
    assert (bar[:, -2:] < 40).all()
    assert (bar[-1] < 40).all()


def test_outline_of_a_real_robot(shared_data) -> None:  # type: ignore[no-untyped-def]
    folder = shared_data / "d1"
    image = cv2.imread(str(folder / "frames" / "000000.jpg"))
    if image is None:
        image = cv2.imread(str(folder / "frames" / "000000.png"))
    mask = cv2.imread(str(folder / "masks" / "000000.png"), cv2.IMREAD_GRAYSCALE) > 127
    changed = (draw_outline(image, mask, AFTER) != image).any(axis=2)
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0
    dilated = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0
    assert changed.sum() > 500
    assert not (changed & eroded).any()
    assert not (changed & ~dilated).any()
