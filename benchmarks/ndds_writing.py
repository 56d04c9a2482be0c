# SPDX-License-Identifier: Apache-2.0
"""Simulated recordings in the NDDS format, to try out and test what reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.image_coding import jpeg, png
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording

MASKS = "masks"


def write_ndds(
    folder: Path,
    robot: Robot,
    takes: Sequence[SimulatedRecording],
    keypoints: Sequence[str],
    *,
    robot_class: str,
    units_per_metre: float = 1.0,
) -> None:
    """Write recordings of one camera, which may stand elsewhere in each, as one sequence.

    Args:
        folder: Where; made if it is missing.
        robot: The robot of the recordings.
        takes: Recordings through one pinhole camera without a time lag, in the order of the frames.
        keypoints: Names of links whose origins are annotated.
        robot_class: What the annotations call the robot.
        units_per_metre: 100 writes locations in centimetres.
    """
    camera = takes[0].camera
    links = [robot.kinematics.link_names.index(name) for name in keypoints]
    (folder / MASKS).mkdir(parents=True, exist_ok=True)
    (folder / "_camera_settings.json").write_text(json.dumps(_camera_settings(camera)))
    (folder / "_object_settings.json").write_text(
        json.dumps({"exported_object_classes": [robot_class], "exported_objects": []})
    )
    number = 0
    for take in takes:
        joints = JointTrajectory(take.joint_names, take.joint_stamps_ns, take.joint_positions)
        positions, _ = joints.at(take.image_stamps_ns, robot.kinematics.joint_names)
        in_base = robot.kinematics.forward(positions)[:, links][..., :3, 3]
        in_camera = se3.transform(take.T_camera_base, in_base)
        pixels = camera.project(in_camera)
        for i, image in enumerate(take.images):
            name = f"{number:06d}"
            (folder / f"{name}.rgb.jpg").write_bytes(jpeg(image))
            (folder / MASKS / f"{name}.png").write_bytes(png(take.masks[i]))
            states = [
                {"name": joint, "position": float(value), "velocity": 0.0}
                for joint, value in zip(robot.kinematics.joint_names, positions[i], strict=True)
            ]
            annotated = _annotated(
                robot_class, keypoints, units_per_metre * in_camera[i], pixels[i]
            )
            document = {"objects": [annotated], "sim_state": {"joints": states}}
            (folder / f"{name}.json").write_text(json.dumps(document))
            number += 1


def _camera_settings(camera: Camera) -> dict[str, Any]:
    size = {"width": camera.width, "height": camera.height}
    lens = {
        "fx": camera.K[0, 0],
        "fy": camera.K[1, 1],
        "cx": camera.K[0, 2],
        "cy": camera.K[1, 2],
        "s": 0,
        "resX": camera.width,
        "resY": camera.height,
    }
    return {
        "camera_settings": [
            {"name": "camera", "intrinsic_settings": lens, "captured_image_size": size}
        ]
    }


def _annotated(
    robot_class: str,
    keypoints: Sequence[str],
    locations: NDArray[np.float64],
    pixels: NDArray[np.float64],
) -> dict[str, Any]:
    points = [
        {"name": name, "location": location, "projected_location": pixel}
        for name, location, pixel in zip(
            keypoints, locations.tolist(), pixels.tolist(), strict=True
        )
    ]
    return {
        "class": robot_class,
        "visibility": 1,
        "location": points[0]["location"],
        "keypoints": points,
    }
