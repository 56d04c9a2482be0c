# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.pictures.results import DrawnScene
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report import photographs
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot


@pytest.fixture
def scene(
    calibration: Calibration, simulated_recording: Recording, demo_robot: Robot
) -> DrawnScene:
    return DrawnScene.of(replace(calibration, lag_ms=0.0), simulated_recording, demo_robot)


def decoded(uri: str) -> np.ndarray:
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    bgr = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def filled(path: str, width: int, height: int) -> np.ndarray:
    """The area of an SVG path of straight lines, by the even-odd rule."""
    mask = np.zeros((height, width), np.uint8)
    lines = [
        np.array([[float(x) for x in place.split()] for place in piece[1:].split("L")]) - 0.5
        for piece in re.findall(r"M[^Z]+", path)
    ]
    cv2.fillPoly(mask, [np.rint(16 * line).astype(np.int32) for line in lines], 1, shift=4)
    return mask > 0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_worst_and_best_take_turns(scene: DrawnScene, evidence: Evidence) -> None:
    pictures = photographs.before_after_pictures(scene, evidence.view, 4)
    assert [(p.frame.index, p.label) for p in pictures] == [
        (7, "worst"),
        (10, "best"),
        (16, "second worst"),
        (4, "second best"),
    ]
    assert "Left out; overlap 0.420" in pictures[0].caption
    assert "stamped 381 ms too late by itself" in pictures[0].caption


def test_no_image_is_shown_twice(scene: DrawnScene, evidence: Evidence) -> None:
    frames = scene.calibration.frames
    for count in range(1, len(frames) + 1):
        few = replace(scene, calibration=replace(scene.calibration, frames=frames[:count]))
        shown = photographs.before_after_pictures(few, evidence.view, 6)
        numbers = [picture.frame.index for picture in shown]
        assert len(set(numbers)) == len(numbers) == max(1, 2 * (count // 2))


def test_outlines_lie_on_the_robot(
    scene: DrawnScene, evidence: Evidence, simulated_recording: Recording
) -> None:
    best = photographs.before_after_pictures(scene, evidence.view, 2)[1]
    assert simulated_recording.masks is not None
    seen = simulated_recording.masks[10]
    assert seen is not None
    photo = best.photograph
    assert (photo.width, photo.height) == seen.shape[::-1]
    assert overlap(filled(best.after, photo.width, photo.height), seen) > 0.97
    assert overlap(filled(best.before, photo.width, photo.height), seen) < 0.9
    columns = np.flatnonzero(seen.any(axis=0))
    assert columns[0] < best.middle_percent * photo.width / 100 < columns[-1]
    difference = decoded(photo.uri).astype(int) - simulated_recording.images[10]
    assert np.abs(difference).mean() < 6.0


def test_without_a_coarse_pose_nothing_is_before(scene: DrawnScene, evidence: Evidence) -> None:
    final = replace(scene, calibration=replace(scene.calibration, stages={}))
    pictures = photographs.before_after_pictures(final, evidence.view, 2)
    assert [picture.before for picture in pictures] == ["", ""]
    assert all(picture.after for picture in pictures)


def test_mask_is_the_one_of_the_best_used_image(scene: DrawnScene, evidence: Evidence) -> None:
    given = photographs.mask_picture(scene, evidence.view, evidence.masks)
    recorded = photographs.mask_picture(scene, evidence.view, None)
    assert given is not None and given == recorded
    assert given.number == 10 and given.recorded
    photo = given.photograph
    assert overlap(filled(given.seen, photo.width, photo.height), evidence.masks[3]) > 0.98
    bare = replace(scene, recording=replace(scene.recording, masks=None))
    found = photographs.mask_picture(bare, evidence.view, evidence.masks)
    assert found is not None and not found.recorded
    assert photographs.mask_picture(bare, evidence.view, None) is None


def test_track_stops_where_the_mark_was_lost(
    scene: DrawnScene, evidence: Evidence, demo_robot: Robot
) -> None:
    assert evidence.track is not None
    picture = photographs.track_picture(scene, evidence.view, evidence.track, demo_robot)
    assert (picture.number, picture.link) == (3, "hand")
    assert picture.path.count("M") == 2
    assert picture.path.count("M") + picture.path.count("L") == 17
    u, v = evidence.track.pixels[3] + 0.5
    assert picture.given == pytest.approx((u, v), abs=0.06)
    # Where it was lost, the pose says where it was all the same.
    assert len(picture.expected) == 3


def test_photographs_are_small_also_of_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (720, 960, 3), dtype=np.uint8)
    assert len(photographs.photograph(noise).uri) < 500_000


def test_holes_belong_to_an_outline() -> None:
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:50, 10:70] = True
    mask[20:40, 30:50] = False
    area = filled(photographs.outline_path(mask), 80, 60)
    assert overlap(area, mask) > 0.9
    assert not area[25:35, 35:45].any()
    assert photographs.outline_path(np.zeros((5, 5), dtype=bool)) == ""
