# SPDX-License-Identifier: Apache-2.0
"""Recordings from the episodes of a LeRobot dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera, CameraError
from calib_all_ros.geometry.joint_trajectory import JointTrajectory, JointTrajectoryError
from calib_all_ros.lerobot.added_features import calibration_key
from calib_all_ros.lerobot.address import STATE_KEY, LerobotAddress, LerobotError
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.images import episode_images
from calib_all_ros.lerobot.joints import (
    DatasetRobot,
    JointPositions,
    find_robot,
    joint_positions,
    portable_description,
)
from calib_all_ros.lerobot.tables import read_columns
from calib_all_ros.recording.camera_info import CameraFile
from calib_all_ros.recording.recording import Recording, fingerprint

_SECOND_NS = 1_000_000_000
_TIME_KEY = "timestamp"
_SEPARATOR = "+"
_NOTHING_SAID = DatasetRobot()
# Entry of a camera's ``info`` in meta/info.json; the content is that of a camera.json.
_INFO_KEY = "intrinsics"


def load_episode(
    dataset: LerobotDataset,
    episode: int,
    camera: str,
    robot: DatasetRobot = _NOTHING_SAID,
    camera_model: Camera | None = None,
) -> Recording:
    """Read one episode as one camera saw it.

    Args:
        dataset: The dataset.
        episode: Number of the episode.
        camera: Feature of the images.
        robot: What the joint state means; `Recording.urdf` stays None, because a dataset holds no
            description of its robot.
        camera_model: Intrinsics; None takes those that the dataset holds.

    Returns:
        The recording, its stamps counted from the begin of the episode, its images not decoded.

    Raises:
        LerobotError: The episode, the camera or the state is not there or cannot be used, or there
            are no intrinsics.
        CalibAllError: The URDF cannot be read, or a library is not installed.
    """
    dataset.check_camera(camera)
    found = dataset.episode(episode)
    model = camera_model or _dataset_camera(dataset, found, camera)
    source = LerobotAddress(dataset.path, episode, camera)
    if model is None:
        raise LerobotError(
            f"{dataset.path} holds no intrinsics of {camera}: give a camera file (camera.json or "
            "ROS camera_info YAML)"
        )
    keys = (robot.joints or STATE_KEY).split(_SEPARATOR)
    columns = read_columns(found.data, episode, [_TIME_KEY, *keys])
    times_s = columns[_TIME_KEY].astype(np.float64).reshape(-1)
    stamps = _stamps(times_s, source)
    joints = _joints(dataset, {key: columns[key] for key in keys}, robot)
    try:
        trajectory = JointTrajectory(joints.names, stamps, joints.positions)
    except JointTrajectoryError as error:
        raise LerobotError(f"{source}: {error}") from None
    called = f"the robot of {dataset.path} is called {dataset.robot_type}"
    return Recording(
        source=str(source),
        camera=model,
        image_stamps_ns=stamps,
        images=episode_images(dataset, found, camera, times_s, model),
        joints=trajectory,
        warnings=joints.warnings,
        notes=(*((called,) if dataset.robot_type else ()), *joints.notes),
        fingerprint=_fingerprint(found, camera),
    )


def load_address(
    address: LerobotAddress,
    camera_file: CameraFile | None,
    joint_names: Sequence[str] | None,
    urdf: Path | str | None,
) -> Recording:
    """Read what an address leads to.

    Raises:
        LerobotError: As `load_episode`; or the address leaves open which episode or camera of
            several is meant.
        CalibAllError: As `load_episode`.
    """
    dataset = LerobotDataset.open(address.path)
    address = _resolved(address, dataset)
    assert address.episode is not None and address.camera is not None
    robot, description = DatasetRobot(), None
    if address.robots is not None:
        robot = find_robot(Path(address.robots), dataset.robot_type, str(address.path))
        assert robot.urdf is not None
        description = portable_description(Path(robot.urdf))
    robot = replace(
        robot,
        urdf=urdf or description,
        joints=address.joints or robot.joints,
        joint_names=tuple(joint_names) if joint_names else robot.joint_names,
        units=address.units or robot.units,
        gripper=address.gripper or robot.gripper,
    )
    recording = replace(
        load_episode(
            dataset,
            address.episode,
            address.camera,
            robot,
            None if camera_file is None else camera_file.camera,
        ),
        source=str(address),
        urdf=description,
        base_frame=robot.base_frame,
    )
    if camera_file is None:
        return recording
    frame = camera_file.camera.frame_id
    unnamed = f"the camera file names no optical frame: '{frame}' is assumed"
    return replace(
        recording,
        warnings=(*recording.warnings, *(() if camera_file.names_frame else (unnamed,))),
        reference_T_camera_base=camera_file.T_camera_base,
        base_frame=recording.base_frame or camera_file.base_frame,
    )


def _resolved(address: LerobotAddress, dataset: LerobotDataset) -> LerobotAddress:
    """Fill in the only episode and the only camera."""
    episodes, cameras = dataset.episode_indices, dataset.cameras
    missing = []
    if address.episode is None and len(episodes) != 1:
        missing.append(f"episode=N of {len(episodes)} ({_listed(list(map(str, episodes)))})")
    if address.camera is None and len(cameras) != 1:
        missing.append(f"camera=KEY of {', '.join(cameras) or 'none at all'}")
    if missing:
        example = LerobotAddress(
            address.path,
            address.episode if address.episode is not None else next(iter(episodes), 0),
            address.camera or next(iter(cameras), "observation.images.top"),
        )
        raise LerobotError(
            f"{address.path} needs {' and '.join(missing)}: give the recording as {example}"
        )
    return replace(
        address,
        episode=episodes[0] if address.episode is None else address.episode,
        camera=address.camera or cameras[0],
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]} to {names[-1]}"


def _stamps(times_s: NDArray[np.float64], source: LerobotAddress) -> NDArray[np.int64]:
    stamps = np.round(times_s * _SECOND_NS).astype(np.int64)
    if (np.diff(stamps) <= 0).any():
        frame = int(np.flatnonzero(np.diff(stamps) <= 0)[0]) + 1
        raise LerobotError(
            f"the time of frame {frame} of {source} is not after that of the frame before: the "
            "dataset is damaged"
        )
    return stamps


def _joints(
    dataset: LerobotDataset, columns: Mapping[str, NDArray[np.generic]], robot: DatasetRobot
) -> JointPositions:
    names: list[str] = []
    parts = []
    for key, value in columns.items():
        part = value.reshape(len(value), -1).astype(np.float64)
        own = dataset.features[key].names if key in dataset.features else ()
        if len(own) != part.shape[1]:
            last = key.rpartition(".")[2]
            numbered = tuple(f"{last}_{i}" for i in range(part.shape[1]))
            own = numbered if part.shape[1] > 1 else (key,)
        names += own
        parts.append(part)
    where = f"{_SEPARATOR.join(columns)} in {dataset.path}"
    return joint_positions(names, np.concatenate(parts, axis=1), robot, where)


def _fingerprint(episode: Episode, camera: str) -> str:
    files = [episode.data]
    if camera in episode.videos and episode.videos[camera].path.is_file():
        files.append(episode.videos[camera].path)
    # Several episodes may share these files.
    return hashlib.sha256(f"{fingerprint(files)}#{episode.index},{camera}".encode()).hexdigest()


def _dataset_camera(dataset: LerobotDataset, episode: Episode, key: str) -> Camera | None:
    """Return the intrinsics of a camera in an episode, None where the dataset has none.

    An earlier calibration of this package counts more than what the camera's info says, because
    it is of this very episode.
    """
    feature = dataset.features[key]
    try:
        written = _calibrated_camera(dataset, episode, key)
        if written is not None or _INFO_KEY not in feature.info:
            return written
        entry = feature.info[_INFO_KEY]
        return Camera(
            np.array(entry["K"], dtype=np.float64).reshape(3, 3),
            int(entry.get("width", feature.size[0])),
            int(entry.get("height", feature.size[1])),
            np.array(entry.get("distortion") or [], dtype=np.float64),
            str(entry.get("distortion_model", "plumb_bob")),
            str(entry.get("optical_frame") or "camera_optical_frame"),
        )
    except (AttributeError, CameraError, KeyError, TypeError, ValueError) as error:
        raise LerobotError(
            f"the intrinsics of {key} in {dataset.path} cannot be used ({error}): give a camera "
            "file"
        ) from None


def _calibrated_camera(dataset: LerobotDataset, episode: Episode, key: str) -> Camera | None:
    K_key, lens_key = calibration_key(key, "K"), calibration_key(key, "distortion")
    if K_key not in dataset.features or lens_key not in dataset.features:
        return None
    columns = read_columns(episode.data, episode.index, [K_key, lens_key])
    K: NDArray[np.float64] = columns[K_key][0].astype(np.float64).reshape(3, 3)
    # Zeros stand for an episode that was not calibrated.
    if not K.any():
        return None
    info = dataset.features[lens_key].info
    return Camera(
        K,
        *dataset.features[key].size,
        columns[lens_key][0].astype(np.float64),
        str(info["distortion_model"]),
        str(info["optical_frame"]),
    )
