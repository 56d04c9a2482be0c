# SPDX-License-Identifier: Apache-2.0
"""What annotated keypoints say of camera, unit and kinematics when the joints are known too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.dream_metric import average_distance
from benchmarks.ndds import NddsError, NddsSequence
from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import match_joints

MIN_KEYPOINTS = 3
UNITS_M = {"m": 1.0, "cm": 0.01}
UNIT_TOLERANCE = 0.1
# Annotations are the forward kinematics of their robot: what differs more is another robot.
LARGEST_MISFIT_M = 0.02


@dataclass(frozen=True, eq=False)
class Keypoints:
    """N frames of K keypoints, in metres.

    Attributes:
        in_base: (N, K, 3) by this package's forward kinematics of the recorded joints.
        in_camera: (N, K, 3) as annotated, in the optical frame.
        unit: Name of the annotations' unit.
        T_camera_base: (N, 4, 4) that fits the two best, of each frame.
        misfit_m: (N,) mean distance that remains: no pose of the camera can have a lower ADD.
    """

    in_base: NDArray[np.float64]
    in_camera: NDArray[np.float64]
    unit: str
    T_camera_base: NDArray[np.float64]
    misfit_m: NDArray[np.float64]


def keypoints_of(sequence: NddsSequence, robot: Robot) -> Keypoints:
    """Bring the annotations of a sequence together with the kinematics of its robot.

    The unit follows from the size of the annotated robot.

    Raises:
        NddsError: A keypoint is no link of the robot whose joints were recorded, or the annotated
            keypoints are not those of this robot in these configurations.
        RecordingError: The recorded joints are not this robot's.
    """
    kinematics = robot.kinematics
    matched = match_joints(kinematics, sequence.joint_names)
    known = [name for name in kinematics.link_names if name not in matched.unknown_links]
    missing = [name for name in sequence.keypoint_names if name not in known]
    if missing or len(sequence.keypoint_names) < MIN_KEYPOINTS:
        raise NddsError(
            f"keypoints {', '.join(missing) or ', '.join(sequence.keypoint_names)} of "
            f"{sequence.folder} cannot be compared: at least {MIN_KEYPOINTS} are needed, each a "
            f"link of the URDF ({', '.join(known)})"
        )
    recording = sequence.recording(rate_hz=1.0)
    motion = RobotMotion(
        kinematics, recording.joints, recording.image_stamps_ns, dict(matched.assumed)
    )
    links = [kinematics.link_names.index(name) for name in sequence.keypoint_names]
    in_base = motion.link_poses()[:, links][..., :3, 3]
    unit = _unit(in_base, sequence)
    in_camera = UNITS_M[unit] * sequence.locations
    T_camera_base = fitted_poses(in_base, in_camera)
    misfit_m = average_distance(se3.transform(T_camera_base, in_base), in_camera)
    if np.median(misfit_m) > LARGEST_MISFIT_M:
        raise NddsError(
            f"the keypoints annotated in {sequence.folder} are {1e3 * np.median(misfit_m):.0f} mm "
            "off the kinematics of the URDF even at the best camera pose: give the URDF of the "
            "robot that was annotated"
        )
    return Keypoints(in_base, in_camera, unit, T_camera_base, misfit_m)


def fitted_poses(
    in_base: NDArray[np.float64], in_camera: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (N, 4, 4) ``T_camera_base`` that fit (N, K, 3) points in least squares.

    Arun, Huang and Blostein, "Least-Squares Fitting of Two 3-D Point Sets", PAMI 1987, with
    Umeyama's treatment of reflections (PAMI 1991).
    """
    base_centre, camera_centre = in_base.mean(axis=1), in_camera.mean(axis=1)
    H = np.einsum(
        "nki,nkj->nij", in_camera - camera_centre[:, None], in_base - base_centre[:, None]
    )
    U, _, Vt = np.linalg.svd(H)
    U[:, :, 2] *= np.sign(np.linalg.det(U @ Vt))[:, None]
    R = U @ Vt
    T = np.tile(np.eye(4), (len(R), 1, 1))
    T[:, :3, :3] = R
    T[:, :3, 3] = camera_centre - np.einsum("nij,nj->ni", R, base_centre)
    return T


def _unit(in_base: NDArray[np.float64], sequence: NddsSequence) -> str:
    """Return the name of the annotations' unit, by the extent of the annotated robot."""
    extents = [
        np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=(1, 2))
        for points in (in_base, sequence.locations)
    ]
    unit_m = float(np.median(extents[0]) / max(np.median(extents[1]), np.finfo(float).tiny))
    for name, metres in UNITS_M.items():
        if abs(unit_m / metres - 1.0) < UNIT_TOLERANCE:
            return name
    raise NddsError(
        f"the robot annotated in {sequence.folder} has the URDF's size if its unit is "
        f"{unit_m:.3g} m, which is neither a metre nor a centimetre: give the URDF of the robot "
        "that was annotated"
    )
