# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib_all_ros.monitoring.background import (
    TRUSTED,
    BackgroundFinding,
    BackgroundWitness,
    flattened,
)

SHAPE = (120, 160)
NOTHING = np.zeros(SHAPE, dtype=bool)


def wall(seed: int = 0, cell_px: int = 5) -> np.ndarray:
    """A larger textured picture to cut views from."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (240 // cell_px, 320 // cell_px, 3), dtype=np.uint8)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


def view(du: float = 0.0, dv: float = 0.0, roll_deg: float = 0.0, seed: int = 0) -> np.ndarray:
    """The wall, displaced in the image by (du, dv)."""
    M = cv2.getRotationMatrix2D((160.0, 120.0), roll_deg, 1.0)
    M[:, 2] += [du - 80.0, dv - 60.0]
    image = cv2.warpAffine(wall(seed), M, SHAPE[::-1], flags=cv2.INTER_LINEAR)
    noise = np.random.default_rng(abs(int(100 * du)) + 7).normal(0.0, 2.0, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def witness() -> BackgroundWitness:
    """One that has seen the wall for a while."""
    witness = BackgroundWitness()
    witness.renew(flattened(view()), NOTHING)
    for _ in range(TRUSTED + 1):
        witness.look(flattened(view()), NOTHING)
    return witness


def test_nobody_is_trusted_at_once() -> None:
    witness = BackgroundWitness()
    assert not witness.has_reference
    witness.renew(flattened(view()), NOTHING)
    assert witness.has_reference
    assert witness.look(flattened(view()), NOTHING) == BackgroundFinding(0, 0, 0.0, None, None)


def test_still_camera(witness: BackgroundWitness) -> None:
    finding = witness.look(flattened(view()), NOTHING)
    assert finding.recognised_share > 0.95 and finding.coherent > 0.95
    assert finding.shift_px == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("shift", [(3.0, 0.0), (-6.0, 4.0), (0.0, 15.0), (35.0, -10.0)])
def test_displaced_camera(witness: BackgroundWitness, shift: tuple[float, float]) -> None:
    finding = witness.look(flattened(view(*shift)), NOTHING)
    assert finding.shift_px == pytest.approx(np.hypot(*shift), abs=0.3)
    assert finding.motion is not None
    np.testing.assert_allclose(finding.motion[:, 2], shift, atol=0.6)


def test_rolled_camera(witness: BackgroundWitness) -> None:
    finding = witness.look(flattened(view(roll_deg=3.0)), NOTHING)
    assert finding.motion is not None
    turn = np.degrees(np.arctan2(finding.motion[0, 1], finding.motion[0, 0]))
    assert turn == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize(("gain", "gamma"), [(0.4, 1.0), (1.5, 1.0), (1.0, 1.8), (1.0, 0.6)])
def test_light(witness: BackgroundWitness, gain: float, gamma: float) -> None:
    levels = 255.0 * np.clip(gain * (np.arange(256) / 255.0) ** gamma, 0.0, 1.0)
    finding = witness.look(flattened(cv2.LUT(view(), levels.astype(np.uint8))), NOTHING)
    assert finding.recognised_share > 0.8
    assert finding.shift_px == pytest.approx(0.0, abs=0.2)


def test_somebody_who_covers_half_of_it(witness: BackgroundWitness) -> None:
    image = view()
    image[:, 80:] = view(20.0, 3.0, seed=5)[:, 80:]
    finding = witness.look(flattened(image), NOTHING)
    assert 0.3 < finding.recognised_share < 0.65
    assert finding.shift_px == pytest.approx(0.0, abs=0.2)


def test_another_scene_altogether(witness: BackgroundWitness) -> None:
    finding = witness.look(flattened(view(seed=5)), NOTHING)
    assert finding.recognised_share < 0.2
    assert finding.shift_px is None and finding.motion is None


def test_corners_that_the_robot_covers_do_not_count(witness: BackgroundWitness) -> None:
    covered = NOTHING.copy()
    covered[:, :80] = True
    all_of_them = witness.look(flattened(view()), NOTHING).visible
    assert 0.3 * all_of_them < witness.look(flattened(view()), covered).visible < 0.7 * all_of_them


def test_what_moves_with_the_robot_is_no_witness() -> None:
    """Everything that can be recognised moves: a shadow on a plain wall."""
    witness = BackgroundWitness()

    def image(left: int) -> np.ndarray:
        plain = np.full((*SHAPE, 3), 120, np.uint8)
        plain[20:100, left : left + 60] = wall()[20:100, :60]
        return flattened(plain)

    witness.renew(image(30), NOTHING)
    for left in (33, 36, 39, 42, 45, 48):
        finding = witness.look(image(left), NOTHING)
        assert finding.shift_px is None


def test_plain_wall_says_nothing() -> None:
    rng = np.random.default_rng(0)
    witness = BackgroundWitness()
    for number in range(6):
        noise = rng.normal(120.0, 3.0, (*SHAPE, 3))
        image = flattened(np.clip(noise, 0, 255).astype(np.uint8))
        if number == 0:
            witness.renew(image, NOTHING)
        assert witness.look(image, NOTHING).shift_px is None or number < 1


def test_motion_is_remembered_when_the_reference_is_renewed(witness: BackgroundWitness) -> None:
    witness.look(flattened(view(5.0, 0.0)), NOTHING)
    witness.renew(flattened(view(5.0, 0.0)), NOTHING, witness.last_motion)
    for _ in range(TRUSTED + 1):
        finding = witness.look(flattened(view(5.0, 0.0)), NOTHING)
    assert finding.shift_px == pytest.approx(5.0, abs=0.2)
    witness.renew(flattened(view(5.0, 0.0)), NOTHING)
    for _ in range(TRUSTED + 1):
        finding = witness.look(flattened(view(5.0, 0.0)), NOTHING)
    assert finding.shift_px == pytest.approx(0.0, abs=0.2)
