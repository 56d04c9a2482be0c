# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import FrameSettings, MarkSettings
from calib_all_ros.solving.mark_route import Mark, MarkError, check_mark, start_from_mark
from calib_all_ros.solving.observations import prepare


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        (Mark((320.0, 10.0), 0, "hand"), "outside the image of 320x240"),
        (Mark((10.0, -1.0), 0, "hand"), "v from 0 to 239"),
        (Mark((float("nan"), 10.0), 0, "hand"), "outside the image"),
        (Mark((10.0, 10.0), 20, "hand"), "images 0 to 19"),
        (Mark((10.0, 10.0), -1, "hand"), "images 0 to 19"),
        (Mark((10.0, 10.0), 0, "haand"), "there are: base_link, .*hand"),
        (Mark((10.0, 10.0), 0, "base_link"), "does not move"),
    ],
)
def test_impossible_marks_are_refused(
    mark: Mark, complaint: str, simulated_recording: Recording, demo_robot: Robot
) -> None:
    with pytest.raises(MarkError, match=complaint):
        check_mark(mark, simulated_recording, demo_robot)


def test_a_mark_in_the_last_corner_is_one(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    check_mark(Mark((319.0, 239.0), 19, "hand"), simulated_recording, demo_robot)


def dotted(recording: Recording, robot: Robot) -> tuple[Recording, np.ndarray]:
    """Images with a textured dot painted where a point of the hand is, and its pixels."""
    point = np.array([[0.0, 0.0, 0.05]])
    positions, _ = recording.joints.at(recording.image_stamps_ns, robot.kinematics.joint_names)
    link = robot.kinematics.link_names.index("hand")
    T = recording.reference_T_camera_base @ robot.kinematics.forward(positions)[:, link]
    pixels = recording.camera.project(se3.transform(T, point))[:, 0]
    offsets_u, offsets_v = np.meshgrid(np.arange(320), np.arange(240))
    colours = np.random.default_rng(0).uniform(0, 255, (6, 6, 3))
    images = []
    for i, (u, v) in enumerate(pixels):
        image = recording.images[i].astype(float)
        du, dv = offsets_u - u, offsets_v - v
        inside = (np.abs(du) < 14) & (np.abs(dv) < 14)
        # Bilinear texture, so that the dot moves by fractions of a pixel.
        x, y = (du[inside] + 14) / 28 * 4.99, (dv[inside] + 14) / 28 * 4.99
        i0, j0 = y.astype(int), x.astype(int)
        a, b = (y - i0)[:, None], (x - j0)[:, None]
        top = (1 - b) * colours[i0, j0] + b * colours[i0, j0 + 1]
        low = (1 - b) * colours[i0 + 1, j0] + b * colours[i0 + 1, j0 + 1]
        image[inside] = (1 - a) * top + a * low
        images.append(image.astype(np.uint8))
    return replace(recording, images=FrameList(images), masks=None), pixels


@pytest.mark.parametrize("method", ["robust", "epnp"])
def test_a_mark_that_can_be_followed_leads_near_the_camera(
    method: str, simulated_recording: Recording, demo_robot: Robot
) -> None:
    recording, pixels = dotted(simulated_recording, demo_robot)
    observations = prepare(recording, demo_robot, FrameSettings(count=5))
    mark = Mark((float(pixels[10, 0]), float(pixels[10, 1])), 10, "hand")
    outcome = start_from_mark(mark, recording, observations, MarkSettings(method))
    assert "followed through" in outcome.summary and "of 20 images" in outcome.summary
    truth = recording.reference_T_camera_base
    assert truth is not None
    assert outcome.start is not None and outcome.start.source == "mark"
    angle_deg, distance_m = se3.difference(outcome.start.T_camera_base, truth)
    assert angle_deg < 15.0 and distance_m < 0.25
    assert outcome.point_in_link is not None
    assert np.linalg.norm(outcome.point_in_link) < 0.15
    track = outcome.track
    assert track.mark == mark and track.frames.tolist() == list(range(20)) and track.seen[10]
    assert f"followed through {track.seen.sum()} of 20" in outcome.summary
    np.testing.assert_allclose(track.pixels[track.seen], pixels[track.seen], atol=3.0)


def test_a_mark_that_is_lost_is_no_error(simulated_recording: Recording, demo_robot: Robot) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (240, 320, 3)).astype(np.uint8) for _ in range(20)]
    recording = replace(simulated_recording, images=FrameList(noise), masks=None)
    observations = prepare(recording, demo_robot, FrameSettings(count=5))
    mark = Mark((100.0, 100.0), 0, "hand")
    outcome = start_from_mark(mark, recording, observations, MarkSettings())
    assert outcome.start is None and outcome.point_in_link is None
    assert "not used" in outcome.summary
    assert outcome.track.seen.tolist() == [True] + [False] * 19
