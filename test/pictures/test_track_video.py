# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.pictures.track_picture import FOLLOWED, GIVEN, LOST
from calib_all_ros.pictures.track_video import MOST_FRAMES, video_frames, write_track
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.mark import Mark, MarkTrack
from calib_all_ros.solving.observations import make_view

HEIGHT, WIDTH = 120, 160
# The video shows images three times as large as these, and the mark from near beside them.
SCALE, SIDE = 3, 360
PATH = np.stack([np.linspace(20, 140, 13), np.full(13, 60.0)], axis=1)
BELOW = np.array([0.0, 10.0])


class Grey:
    """Grey images; the blue of each is its number."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        self.decoded.append(index)
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        image[..., 2] = index % 256
        return image


def like(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where both views, less their caption, have nearly that colour."""
    drawn = picture[-SIDE:].astype(int)
    return np.asarray(np.abs(drawn - colour).max(axis=2) < 40)


def has_at(picture: np.ndarray, colour: tuple[int, int, int], pixel: np.ndarray) -> bool:
    u, v = (SCALE * (pixel + 0.5) - 0.5).round().astype(int)
    return bool(like(picture, colour)[v - 2 : v + 3, u - 2 : u + 3].any())


def test_every_image_shows_the_mark_and_where_it_came_from() -> None:
    shown = list(video_frames(Grey(13), np.arange(13), PATH, 0, None))
    assert len(shown) == 13 and len({frame.shape for frame in shown}) == 1
    assert shown[0].shape[1] == SCALE * WIDTH + SIDE and shown[0].shape[0] > SIDE
    assert has_at(shown[0], GIVEN, PATH[0]) and not like(shown[0], FOLLOWED).any()
    for row in range(1, 13):
        assert has_at(shown[row], FOLLOWED, PATH[row])
        assert has_at(shown[row], FOLLOWED, PATH[:row].mean(axis=0))
        near = like(shown[row], FOLLOWED)[:, SCALE * WIDTH :]
        np.testing.assert_allclose(np.argwhere(near).mean(axis=0), [179.5, 179.5], atol=1.0)
        assert not like(shown[row], LOST).any()


def test_a_lost_mark_is_shown_where_the_pose_puts_it() -> None:
    pixels, expected = PATH.copy(), PATH + BELOW
    pixels[5:] = np.nan
    expected[8] = np.nan
    shown = list(video_frames(Grey(13), np.arange(13), pixels, 0, expected))
    for row in range(5, 13):
        assert has_at(shown[row], LOST, PATH[row] + BELOW) == (row != 8)
        assert like(shown[row], LOST)[178:182, SCALE * WIDTH + 178 :].any() == (row != 8)
    assert not any(like(frame, LOST).any() for frame in shown[:5])
    assert len({frame.shape for frame in shown}) == 1


def test_a_mark_lost_for_good_is_looked_for_where_it_was_last() -> None:
    pixels = PATH.copy()
    pixels[:4], pixels[9:] = np.nan, np.nan
    shown = list(video_frames(Grey(13), np.arange(13), pixels, 6, None))
    for row in (0, 3, 9, 12):
        assert not like(shown[row], LOST).any()
        # The last image with a mark is left in the trail only.
        assert not like(shown[row], FOLLOWED)[:, SCALE * WIDTH :].any()
    assert has_at(shown[6], GIVEN, PATH[6])


@pytest.mark.parametrize("given", [0, 317, 999])
def test_long_tracks_are_thinned(given: int) -> None:
    images, numbers = Grey(1000), np.arange(1000) + 50
    pixels = np.full((1000, 2), 60.0)
    count = sum(1 for _ in video_frames(images, numbers, pixels, given, None))
    assert count == MOST_FRAMES == len(set(images.decoded))
    assert given in images.decoded and images.decoded == sorted(images.decoded)
    assert {0, 999} <= set(images.decoded) and max(np.diff(images.decoded)) <= 18


def test_both_files_come_from_a_result(
    tmp_path: Path, simulated_recording: Recording, demo_robot: Robot
) -> None:
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None
    calibration = Calibration(
        T_camera_base=truth,
        camera=simulated_recording.camera,
        robot=RobotRecord(demo_robot.name, demo_robot.kinematics.base_frame),
        verdict=Verdict("accepted"),
        provenance=Provenance("simulated", "", "0"),
    )
    view = make_view(simulated_recording.camera, 960)
    evidence = Evidence(view, np.zeros((0, 240, 320), bool), None, "")
    assert write_track(tmp_path, calibration, evidence, simulated_recording, demo_robot) == []
    pixels = np.stack([np.linspace(100, 150, 12), np.full(12, 90.0)], axis=1)
    pixels[9:] = np.nan
    track = MarkTrack(Mark((100.0, 90.0), 5, "hand"), np.arange(5, 17), pixels)
    marked = replace(evidence, track=track, mark_summary="followed through 9 of 12 images")
    files = write_track(tmp_path / "out", calibration, marked, simulated_recording, demo_robot)
    assert [path.name for path in files] == ["track.png", "track.webp"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["track.png", "track.webp"]
    assert files[0].read_bytes()[:4] == b"\x89PNG"
    assert files[1].read_bytes().count(b"ANMF") == 12
    assert files[1].stat().st_size < 1_000_000
