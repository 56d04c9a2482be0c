# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.pictures.overlay import AFTER, BEFORE, TARGET
from calib_all_ros.pictures.results import CONTACT_SHEET_NAME, MAX_OVERLAYS, write_pictures
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import FrameQuality, Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot

IOU = (0.90, 0.95, None, 0.30, 0.80, 0.99, 0.85, 0.70, 0.60, 0.65)
NUMBERS = tuple(range(0, 20, 2))
RED = (255, 70, 70)


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot(demo_urdf_path())


@pytest.fixture
def recording(simulated_folder: Path) -> Recording:
    return load_recording(RecordingSource(simulated_folder, masks="recorded"))


@pytest.fixture
def calibration(recording: Recording, robot: Robot) -> Calibration:
    """The true pose, one frame left out, another not measured."""
    truth = recording.reference_T_camera_base
    assert truth is not None
    frames = tuple(
        FrameQuality(n, int(recording.image_stamps_ns[n]), iou, 0.5, used=iou != 0.30)
        for n, iou in zip(NUMBERS, IOU, strict=True)
    )
    step = se3.from_rotvec(np.zeros(3), np.array([0.1, 0.0, 0.0]))
    return Calibration(
        T_camera_base=truth,
        camera=recording.camera,
        robot=RobotRecord(robot.name, robot.kinematics.base_frame),
        verdict=Verdict("warning", ("one image does not fit",)),
        provenance=Provenance(recording.source, recording.fingerprint, "0"),
        frames=frames,
        lag_ms=0.0,
        stages={"coarse": step @ truth, "refined": truth},
    )


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def coloured(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture has nearly that colour, which the simulated scene has nowhere."""
    return np.abs(picture.astype(int) - colour).max(axis=2) < 40


def drawn(path: Path, recording: Recording) -> np.ndarray:
    """An overlay less its caption."""
    return read(path)[-recording.camera.height :]


def band(mask: np.ndarray, width_px: float = 3.0) -> np.ndarray:
    """Pixels near the boundary of a mask."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(np.maximum(inside, outside) <= width_px)


def one_frame(calibration: Calibration, position: int = 5) -> Calibration:
    return replace(calibration, frames=calibration.frames[position : position + 1])


def final_outline(
    folder: Path,
    calibration: Calibration,
    recording: Recording,
    robot: Robot,
    position: int = 5,
) -> np.ndarray:
    """Pixels of the final outline in one frame, with nothing else drawn."""
    bare = replace(recording, masks=None)
    alone = replace(one_frame(calibration, position), stages={})
    path = write_pictures(folder, alone, bare, robot)[0]
    original = recording.images[alone.frames[0].index]
    return np.asarray((drawn(path, recording) != original).any(axis=2))


def test_worst_and_best_come_first(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    progress: list[tuple[str, float]] = []
    paths = write_pictures(
        tmp_path / "new",
        calibration,
        recording,
        robot,
        lambda stage, share: progress.append((stage, share)),
    )
    assert [path.name for path in paths] == [
        "overlay_00_worst_frame000006.png",
        "overlay_01_best_frame000010.png",
        "overlay_02_frame000016.png",
        "overlay_03_frame000018.png",
        "overlay_04_frame000014.png",
        "overlay_05_frame000008.png",
        "overlay_06_frame000012.png",
        "overlay_07_frame000000.png",
        CONTACT_SHEET_NAME,
    ]
    assert len(paths) == MAX_OVERLAYS + 1
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in paths
    )
    assert progress[-1] == ("pictures", 1.0)
    assert progress == sorted(progress)


def test_frames_without_figures_come_last(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    few = replace(calibration, frames=calibration.frames[1:4])
    names = [path.name for path in write_pictures(tmp_path, few, recording, robot)]
    assert names[:3] == [
        "overlay_00_worst_frame000006.png",
        "overlay_01_best_frame000002.png",
        "overlay_02_frame000004.png",
    ]


def test_outlines_lie_where_the_robot_is(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    assert recording.masks is not None
    seen = recording.masks[NUMBERS[5]]
    assert seen is not None
    outline = final_outline(tmp_path / "a", calibration, recording, robot)
    assert not (outline & ~band(seen)).any()
    near = cv2.dilate(outline.astype(np.uint8), np.ones((3, 3))) > 0
    assert near[band(seen, 1.0)].mean() > 0.95
    path = write_pictures(tmp_path / "b", one_frame(calibration), recording, robot)[0]
    picture = drawn(path, recording)
    after, before = coloured(picture, AFTER), coloured(picture, BEFORE)
    assert after.sum() > 50
    assert not (after & ~band(seen)).any()
    # The first pose is a tenth of a metre beside the true one.
    assert before.sum() > 50
    assert (before & ~band(seen)).sum() > 0.5 * before.sum()


def test_recorded_masks_are_drawn(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    away = se3.from_rotvec(np.zeros(3), np.array([0.15, 0.0, 0.0]))
    wrong = replace(calibration, T_camera_base=away @ calibration.T_camera_base, stages={})
    assert recording.masks is not None
    seen = recording.masks[NUMBERS[5]]
    assert seen is not None
    path = write_pictures(tmp_path / "with", one_frame(wrong), recording, robot)[0]
    blue = coloured(drawn(path, recording), TARGET)
    assert blue.sum() > 100
    assert not (blue & ~band(seen)).any()
    bare = replace(recording, masks=None)
    path = write_pictures(tmp_path / "without", one_frame(wrong), bare, robot)[0]
    assert not coloured(drawn(path, recording), TARGET).any()


def test_common_lag_is_applied_and_an_own_lag_is_not(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    expected = final_outline(tmp_path / "a", calibration, recording, robot)
    stamps = recording.image_stamps_ns + 400_000_000
    late = replace(recording, image_stamps_ns=stamps)
    frames = tuple(
        replace(frame, stamp_ns=frame.stamp_ns + 400_000_000, lag_ms=900.0)
        for frame in calibration.frames
    )
    unaware = replace(calibration, frames=frames)
    aware = replace(unaware, lag_ms=400.0)
    np.testing.assert_array_equal(final_outline(tmp_path / "b", aware, late, robot), expected)
    assert (final_outline(tmp_path / "c", unaware, late, robot) != expected).sum() > 100


def test_focal_scale_is_applied(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    expected = final_outline(tmp_path / "a", calibration, recording, robot)
    K = recording.camera.K.copy()
    K[0, 0] /= 1.25
    K[1, 1] /= 1.25
    short = replace(recording, camera=replace(recording.camera, K=K))
    scaled = replace(calibration, focal_scale=1.25)
    np.testing.assert_array_equal(final_outline(tmp_path / "b", scaled, short, robot), expected)
    assert (final_outline(tmp_path / "c", calibration, short, robot) != expected).sum() > 100


def test_links_of_unrecorded_joints_are_not_drawn(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    joints = recording.joints
    arm = tuple(name for name in joints.names if name != "finger_joint")
    positions, valid = joints.at(recording.image_stamps_ns, arm)
    assert valid.all()
    trajectory = JointTrajectory(arm, recording.image_stamps_ns, positions)
    fewer = replace(recording, joints=trajectory)
    # The arm hides the fingers in some of the frames, not in this one.
    whole = final_outline(tmp_path / "a", calibration, recording, robot, 8)
    part = final_outline(tmp_path / "b", calibration, fewer, robot, 8)
    assert recording.masks is not None
    seen = recording.masks[NUMBERS[8]]
    assert seen is not None
    assert not (whole & ~band(seen)).any()
    # Without the fingers the outline runs along the palm, inside what is seen of the robot.
    retreated = part & ~band(seen)
    assert retreated.sum() > 20
    assert seen[retreated].all()
    assert (whole & part).sum() > 0.7 * whole.sum()


def test_overlays_of_a_distorted_camera_are_rectified(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    camera = replace(
        recording.camera, model="plumb_bob", distortion=np.array([-0.2, 0.05, 0.0, 0.0, 0.0])
    )
    distorted = replace(recording, camera=camera)
    picture = read(write_pictures(tmp_path, one_frame(calibration), distorted, robot)[0])
    assert picture.shape[1] != recording.camera.width
    assert coloured(picture, AFTER).sum() > 100


def test_sheet_shows_every_frame_and_marks_those_left_out(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    sheet = read(write_pictures(tmp_path, calibration, recording, robot)[-1])
    red = (sheet == RED).all(axis=2)
    # The tile's frame: its uppermost full line, as wide as the tile.
    rows = np.flatnonzero(red.sum(axis=1) >= 320)
    assert 5 <= len(rows) <= 12
    columns = np.flatnonzero(red[rows[0]])
    # Frame 6 is the fourth of ten, in four columns.
    assert columns[0] > 0.7 * sheet.shape[1]
    tile = sheet[rows[0] + 8 : rows[-1] - 8, columns[0] + 8 : columns[-1] - 8]
    assert coloured(tile, RED).sum() > 100
    assert not coloured(tile, AFTER).any()
    all_used = tuple(replace(frame, used=True) for frame in calibration.frames)
    good = replace(calibration, frames=all_used, verdict=Verdict("accepted"))
    sheet = read(write_pictures(tmp_path, good, recording, robot)[-1])
    assert not coloured(sheet, RED).any()


@pytest.mark.parametrize(
    ("verdict", "colour"),
    [
        (Verdict("accepted"), AFTER),
        (Verdict("warning", ("a",)), (255, 190, 0)),
        (Verdict("rejected", ("a",)), RED),
    ],
    ids=lambda value: value.status if isinstance(value, Verdict) else "",
)
def test_verdict_heads_the_sheet_in_its_colour(
    tmp_path: Path,
    calibration: Calibration,
    recording: Recording,
    robot: Robot,
    verdict: Verdict,
    colour: tuple[int, int, int],
) -> None:
    judged = replace(one_frame(calibration), verdict=verdict)
    head = read(write_pictures(tmp_path, judged, recording, robot)[-1])[:40]
    bright = head.max(axis=2) > 150
    assert bright.sum() > 300
    direction = head[bright] / np.linalg.norm(head[bright], axis=1, keepdims=True)
    assert (direction @ (np.array(colour) / np.linalg.norm(colour)) > 0.97).all()


def test_another_recording_is_noticed(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    shorter = recording.subset(range(10))
    with pytest.raises(ResultError, match="is not what this was calibrated from"):
        write_pictures(tmp_path, calibration, shorter, robot)
    shifted = replace(recording, image_stamps_ns=recording.image_stamps_ns + 1)
    with pytest.raises(ResultError, match="no image 0 with the stamp"):
        write_pictures(tmp_path, calibration, shifted, robot)
    assert list(tmp_path.iterdir()) == []


def test_another_base_frame_and_missing_frames_are_noticed(
    tmp_path: Path, calibration: Calibration, recording: Recording, robot: Robot
) -> None:
    other = replace(calibration, robot=replace(calibration.robot, base_frame="table"))
    with pytest.raises(ResultError, match="base frame 'table'"):
        write_pictures(tmp_path, other, recording, robot)
    with pytest.raises(ResultError, match="no frames"):
        write_pictures(tmp_path, replace(calibration, frames=()), recording, robot)
