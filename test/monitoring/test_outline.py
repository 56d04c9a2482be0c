# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.monitoring.edges import MovingEdges, image_gradient
from calib_all_ros.monitoring.outline import LAGS_S, OutlineWitness

NOWHERE = np.zeros(2)
WINDOW = 6
Witness = Callable[..., OutlineWitness]


@pytest.fixture
def witness(simulated: Any, simulated_motion: Any, demo_robot: Any) -> Witness:
    """Make a witness of a camera that is turned by some degrees about its vertical."""

    def make(degrees: float = 0.0) -> OutlineWitness:
        turn = se3.from_rotvec(np.radians([0.0, degrees, 0.0]), np.zeros(3))
        return OutlineWitness(
            demo_robot.kinematics,
            demo_robot.surface,
            simulated.camera,
            turn @ simulated.T_camera_base,
            simulated_motion.joints.names,
            {},
            WINDOW,
        )

    return make


@pytest.fixture
def shown(simulated: Any, simulated_motion: Any) -> Callable[..., None]:
    """Show images of the simulated recording to a witness that keeps them."""

    def show(witness: OutlineWitness, count: int, late_ns: int = 0) -> None:
        moving = MovingEdges()
        for image, stamp in zip(
            simulated.images[:count], simulated.image_stamps_ns[:count], strict=True
        ):
            gradient = image_gradient(image)
            seen = witness.look(
                moving.of(gradient), int(stamp) + late_ns, simulated_motion.joints, NOWHERE
            )
            assert seen is not None and witness.keep(seen)
            moving.learn(gradient)

    return show


def test_outline_in_its_place(witness: Witness, shown: Any) -> None:
    judge = witness()
    shown(judge, 6)
    assert judge.peak_px <= 1.0
    finding = judge.fit()
    assert finding.shift_px < 1.0
    assert abs(finding.estimate.lag_s) < 0.01
    assert finding.support > 0.15
    assert finding.agreement == pytest.approx(finding.agreement_before, rel=0.1)


@pytest.mark.parametrize("degrees", [0.5, 3.0, -5.0])
def test_displaced_outline(witness: Witness, shown: Any, simulated: Any, degrees: float) -> None:
    judge = witness(degrees)
    shown(judge, 6)
    finding = judge.fit()
    expected = -simulated.camera.K[0, 0] * np.tan(np.radians(degrees))
    assert finding.mean_shift_px[0] == pytest.approx(expected, abs=1.0 + 0.1 * abs(expected))
    assert abs(finding.mean_shift_px[1]) < 1.5
    assert finding.support > 0.15
    assert finding.agreement > finding.agreement_before


@pytest.mark.parametrize("late_ms", [-150, 60])
def test_late_images(witness: Witness, shown: Any, late_ms: int) -> None:
    judge = witness()
    shown(judge, 6, late_ms * 1_000_000)
    finding = judge.fit()
    assert 1e3 * finding.estimate.lag_s == pytest.approx(late_ms, abs=12)
    assert finding.shift_px < 1.5
    lags = np.mean([image.lags for image in judge.kept], axis=0)
    assert 1e3 * LAGS_S[lags.argmax()] == pytest.approx(late_ms, abs=40)


def test_keeps_the_last_images_with_different_poses(
    witness: Witness, simulated: Any, simulated_motion: Any
) -> None:
    judge = witness()
    edges = MovingEdges().of(image_gradient(simulated.images[0]))
    stamps = [int(stamp) for stamp in simulated.image_stamps_ns]
    for stamp in stamps:
        seen = judge.look(edges, stamp, simulated_motion.joints, NOWHERE)
        assert seen is not None and judge.keep(seen)
        assert not judge.keep(seen)
    assert [image.stamp_ns for image in judge.kept] == stamps[-WINDOW:]
    judge.forget()
    assert not judge.kept
    assert judge.keep(seen)


def test_support_is_looked_for_where_the_outline_is_known_to_be(
    witness: Witness, simulated: Any, simulated_motion: Any
) -> None:
    judge, degrees = witness(1.0), 1.0
    edges = MovingEdges().of(image_gradient(simulated.images[4]))
    stamp = int(simulated.image_stamps_ns[4])
    known = np.array([-simulated.camera.K[0, 0] * np.tan(np.radians(degrees)), 0.0])
    there = judge.look(edges, stamp, simulated_motion.joints, known)
    here = judge.look(edges, stamp, simulated_motion.joints, NOWHERE)
    assert there is not None and here is not None
    assert there.support > here.support + 0.1
    assert there.agreement == here.agreement


def test_robot_out_of_view(witness: Witness, simulated: Any, simulated_motion: Any) -> None:
    edges = MovingEdges().of(image_gradient(simulated.images[0]))
    stamp = int(simulated.image_stamps_ns[0])
    assert witness(100.0).look(edges, stamp, simulated_motion.joints, NOWHERE) is None
