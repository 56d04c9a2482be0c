# SPDX-License-Identifier: Apache-2.0
"""Simulated datasets for ``benchmarks.dataset``: setups of several episodes each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from calib_all_ros.geometry import se3
from calib_all_ros.recording.writing import JointSamples, write_folder
from calib_all_ros.robot.description import demo_urdf_path, load_robot, read_description
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import simulate

_MARGIN_NS = 150_000_000
# Between one setup and the next the camera is bumped by so much.
BUMP = se3.from_rotvec([0.0, 0.026, 0.0], [0.02, 0.0, 0.0])


def write_dataset(
    folder: Path, settings: SimulationSettings, setups: int, episodes: int
) -> np.ndarray:
    """Write setups of so many episodes each, one long simulation cut to pieces per setup.

    Args:
        folder: New folder.
        settings: Of an episode; its seed gives the room and the first camera.
        setups: How many.
        episodes: Of each.

    Returns:
        (S, 4, 4) true ``T_camera_base`` of the setups; their episodes are called ``s0e0``, ...
    """
    robot = load_robot(demo_urdf_path())
    urdf = read_description(demo_urdf_path(), mesh_paths=[])
    length, poses = settings.frames, []
    T_camera_base = settings.T_camera_base
    for number in range(setups):
        if T_camera_base is not None:
            T_camera_base = BUMP @ T_camera_base
        # Another seed would be another room: setups differ by their camera alone.
        whole = replace(settings, frames=length * episodes, T_camera_base=T_camera_base)
        simulated = simulate(robot, whole)
        T_camera_base = simulated.T_camera_base
        poses.append(T_camera_base)
        for episode in range(episodes):
            part = slice(episode * length, (episode + 1) * length)
            stamps, known = simulated.image_stamps_ns[part], simulated.joint_stamps_ns
            during = (known >= stamps[0] - _MARGIN_NS) & (known <= stamps[-1] + _MARGIN_NS)
            write_folder(
                folder / f"s{number}e{episode}",
                images=simulated.images[part],
                image_stamps_ns=stamps,
                joints=JointSamples(
                    simulated.joint_names, known[during], simulated.joint_positions[during]
                ),
                camera=simulated.camera,
                urdf=urdf,
                T_camera_base=T_camera_base,
                base_frame=simulated.base_frame,
                masks=simulated.masks[part],
            )
    return np.stack(poses)
