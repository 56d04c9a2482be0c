# SPDX-License-Identifier: Apache-2.0
"""Simulation of a recording to disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from calib_all_ros.recording.writing import JointSamples, write_bag, write_folder
from calib_all_ros.robot.description import demo_urdf_path, load_robot, read_description
from calib_all_ros.simulation.settings import SimulationError, SimulationSettings
from calib_all_ros.simulation.simulator import SimulatedRecording, simulate


def simulate_to(
    path: Path,
    *,
    settings: SimulationSettings | None = None,
    urdf: Path | str | None = None,
    base_frame: str | None = None,
    mesh_paths: Sequence[Path | str] = (),
    as_bag: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SimulatedRecording:
    """Simulate a recording and write it with its robot description.

    Args:
        path: Folder of the recording; must not exist or be empty.
        settings: What to simulate; None takes the defaults.
        urdf: Robot description; None takes the demo arm.
        base_frame: Base link; None takes the root.
        mesh_paths: Folders searched first for the meshes of the robot.
        as_bag: Write a rosbag2 instead of a folder of images. A bag does not carry the true pose.
        on_progress: Called with (images done, images in total).

    Raises:
        SimulationError: `path` is taken, or the settings do not fit the robot.
        RobotError: The robot description cannot be used.
    """
    if path.exists() and (as_bag or not path.is_dir() or any(path.iterdir())):
        raise SimulationError(f"{path} exists already: name a new folder")
    settings = settings or SimulationSettings()
    source = demo_urdf_path() if urdf is None else urdf
    robot = load_robot(source, base_frame=base_frame, mesh_paths=mesh_paths)
    xml = read_description(source, mesh_paths=[Path(folder) for folder in mesh_paths])
    recording = simulate(robot, settings, on_progress)
    joints = JointSamples(
        recording.joint_names, recording.joint_stamps_ns, recording.joint_positions
    )
    if as_bag:
        write_bag(
            path,
            images=recording.images,
            image_stamps_ns=recording.image_stamps_ns,
            joints=joints,
            camera=recording.camera,
            urdf=xml,
            masks=recording.masks,
            jpeg_quality=settings.jpeg_quality,
        )
        return recording
    write_folder(
        path,
        images=recording.images,
        image_stamps_ns=recording.image_stamps_ns,
        joints=joints,
        camera=recording.camera,
        urdf=xml,
        T_camera_base=recording.T_camera_base,
        base_frame=recording.base_frame,
        masks=recording.masks,
        jpeg_quality=settings.jpeg_quality,
    )
    return recording
