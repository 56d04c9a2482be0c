# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.diagnosis.mark_check import MarkFigures, examine_mark, mark_findings
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.mark import Mark, MarkTrack
from calib_all_ros.solving.motion import RobotMotion

POINT = np.array([0.02, -0.01, 0.05])


def tracked(
    simulated: SimulatedRecording, motion: RobotMotion, link: str, stated: str
) -> MarkTrack:
    """A track of a point on one link, said to be on another, with noise and gaps."""
    rng = np.random.default_rng(0)
    index = motion.kinematics.link_names.index(link)
    T = simulated.T_camera_base @ motion.link_poses()[:, index]
    pixels = simulated.camera.project(se3.transform(T, POINT[None]))[:, 0]
    pixels = pixels + rng.normal(0.0, 0.3, pixels.shape)
    pixels[[3, 8]] = np.nan
    return MarkTrack(Mark((0.0, 0.0), 0, stated), np.arange(len(pixels)), pixels)


def examined(
    simulated: SimulatedRecording, motion: RobotMotion, link: str, stated: str
) -> MarkFigures | None:
    track = tracked(simulated, motion, link, stated)
    return examine_mark(track, motion, simulated.camera, simulated.T_camera_base, 0.0)


def test_a_mark_on_its_link(simulated: SimulatedRecording, simulated_motion: RobotMotion) -> None:
    figures = examined(simulated, simulated_motion, "hand", "hand")
    assert figures is not None
    assert figures.rms_px < 1.5 and "hand" in figures.alike
    assert figures.images == len(simulated_motion) - 2
    assert mark_findings(figures) == [] and figures.lost() is None


def test_a_mark_on_another_link(
    simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    names = simulated_motion.kinematics.link_names
    moving = [name for name in names if simulated_motion.kinematics.moving_joints(name)]
    figures = examined(simulated, simulated_motion, "hand", moving[1])
    assert figures is not None
    assert "hand" in figures.alike
    (finding,) = mark_findings(figures)
    assert finding.cause == "mark_not_on_link" and finding.strength > 1.0
    assert f"'{moving[1]}'" in finding.evidence and figures.best_link in finding.advice


def test_a_track_that_fits_no_link_is_lost(
    simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    rng = np.random.default_rng(1)
    count = len(simulated_motion)
    pixels = rng.uniform((20.0, 20.0), (300.0, 220.0), (count, 2))
    track = MarkTrack(Mark((0.0, 0.0), 0, "hand"), np.arange(count), pixels)
    figures = examine_mark(track, simulated_motion, simulated.camera, simulated.T_camera_base, 0.0)
    assert figures is not None
    assert mark_findings(figures) == []
    assert "lost" in (figures.lost() or "")


@pytest.mark.parametrize("kept", [0, 4])
def test_short_tracks_say_nothing(
    kept: int, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    track = tracked(simulated, simulated_motion, "hand", "hand")
    track.pixels[kept:] = np.nan
    assert (
        examine_mark(track, simulated_motion, simulated.camera, simulated.T_camera_base, 0.0)
        is None
    )


def test_a_still_track_says_nothing(
    simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    camera: Camera = simulated.camera
    pixels = np.full((len(simulated_motion), 2), 100.0)
    track = MarkTrack(Mark((0.0, 0.0), 0, "hand"), np.arange(len(pixels)), pixels)
    assert examine_mark(track, simulated_motion, camera, simulated.T_camera_base, 0.0) is None
