# SPDX-License-Identifier: Apache-2.0
"""A recording, its robot, and extrinsics that go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.commands.options import CommandError, RecordingOptions
from calib_all_ros.commands.result_options import CalibratedOptions, CheckOptions, CompareOptions
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.frame_tree import frame_name
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.extrinsics_file import GivenExtrinsics, in_frames, load_result
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.second_arm import joined_description
from calib_all_ros.solve_job import load_inputs

# Intrinsics further apart than this put the robot elsewhere.
_SAME_FOCAL, _SAME_CENTRE_PX, _SAME_DISTORTION = 0.002, 1.0, 1e-3


def load_for(options: RecordingOptions, given: GivenExtrinsics) -> tuple[Recording, Robot]:
    """Read the recording, and the robot with the base frame that the extrinsics speak of.

    Raises:
        CalibAllError: One of them cannot be read.
    """
    files = options.input_files()
    recording, robot = load_inputs(files)
    base, kinematics = given.base_frame, robot.kinematics
    if options.base_frame is None and base in kinematics.link_names:
        description = joined_description(files, recording.urdf)
        assert description is not None
        if base != kinematics.base_frame:
            robot = load_robot(description, base_frame=base, mesh_paths=options.mesh_paths)
    return recording, robot


def placed(
    given: GivenExtrinsics,
    options: CheckOptions | CompareOptions,
    recording: Recording,
    robot: Robot,
) -> tuple[Recording, NDArray[np.float64], tuple[str, ...]]:
    """Bring extrinsics of any source and a recording together, to measure them.

    Returns:
        The recording, its focal length scaled where the result asks for that; (4, 4)
        ``T_camera_base`` between the robot's base and the optical frame; what was assumed and what
        differs, one sentence each.

    Raises:
        CalibAllError: The frames do not go together.
    """
    given = _named_by_user(given, options, recording, robot)
    T_camera_base, notes = in_frames(
        given, robot.kinematics.base_frame, recording.camera.frame_id, recording.static_transforms
    )
    calibration = given.calibration
    if calibration is None:
        return recording, T_camera_base, notes
    more = list(notes)
    if calibration.verdict.status == "rejected":
        more.append(f"{given.source} was rejected when it was made")
    more += _differences(given.source, calibration, recording, robot)
    if recording.fingerprint and calibration.provenance.fingerprint == recording.fingerprint:
        more.append(
            f"{given.source} was made from this very recording: what is wrong with that is wrong "
            "with the check, too"
        )
    scale = calibration.focal_scale
    if scale is not None and scale != 1.0:
        recording = replace(recording, camera=_scaled(recording.camera, scale))
        more.append(f"the focal length was multiplied by {scale:.4f}, as {given.source} asks for")
    return recording, T_camera_base, tuple(more)


@dataclass(frozen=True, eq=False)
class CalibratedInputs:
    """What is annotated or drawn on.

    Attributes:
        recording: The recording.
        robot: Its robot.
        calibration: The calibration, between the robot's base and the camera's optical frame.
        source: Where the calibration was read from.
        notes: What was assumed and what differs, one sentence each.
    """

    recording: Recording
    robot: Robot
    calibration: Calibration
    source: str
    notes: tuple[str, ...]


def load_calibrated(options: CalibratedOptions) -> CalibratedInputs:
    """Read a recording with a calibration to use, and make sure that they belong together.

    Raises:
        CommandError: The calibration was rejected, or is of a camera with another image size, or
            of another robot.
        CalibAllError: Something cannot be read.
    """
    given, calibration = usable_calibration(options)
    recording, robot = load_for(options, given)
    first, second = calibration.camera, recording.camera
    if (first.width, first.height) != (second.width, second.height):
        raise CommandError(
            f"{given.source} is of a camera with {first.width}x{first.height} pixels, the images "
            f"of {recording.source} have {second.width}x{second.height}: give the calibration of "
            "this camera and resolution"
        )
    if calibration.robot.name != robot.name and not options.force:
        raise CommandError(
            f"{given.source} is of the robot '{calibration.robot.name}', this one is called "
            f"'{robot.name}': give the calibration of this robot, or --force if it is the same"
        )
    T_camera_base, notes = in_frames(
        given, robot.kinematics.base_frame, recording.camera.frame_id, recording.static_transforms
    )
    more = list(notes)
    status, reasons = calibration.verdict.status, calibration.verdict.reasons
    if status != "accepted":
        more.append(f"the verdict on {given.source} is '{status}': {reasons[0]}")
    more += _differences(given.source, calibration, recording, robot)
    fingerprints = calibration.provenance.fingerprint, recording.fingerprint
    if all(fingerprints) and fingerprints[0] != fingerprints[1]:
        more.append(
            f"{given.source} was made from another recording: it is right here if the camera has "
            "not moved since"
        )
    calibration = replace(
        calibration,
        T_camera_base=T_camera_base,
        robot=replace(calibration.robot, base_frame=robot.kinematics.base_frame),
    )
    return CalibratedInputs(recording, robot, calibration, given.source, tuple(more))


def usable_calibration(options: CalibratedOptions) -> tuple[GivenExtrinsics, Calibration]:
    """Read the calibration.

    Raises:
        CommandError: It was rejected.
        ResultError: There is none, or it is broken.
    """
    given = load_result(options.calibration)
    calibration = given.calibration
    assert calibration is not None
    if calibration.verdict.status == "rejected" and not options.force:
        raise CommandError(
            f"{given.source} was rejected ({calibration.verdict.reasons[0]}): calibrate again, or "
            "--force if it has to be this one"
        )
    return given, calibration


def intrinsics_difference(first: Camera, second: Camera) -> str:
    """Return what differs between two cameras that are said to be one, "" for nothing."""
    if (first.width, first.height) != (second.width, second.height):
        return f"{first.width}x{first.height} and {second.width}x{second.height} pixels"
    K, other = first.K, second.K
    parts = []
    for name, place in (("fx", (0, 0)), ("fy", (1, 1))):
        if abs(K[place] / other[place] - 1.0) > _SAME_FOCAL:
            parts.append(f"{name} {K[place]:.1f} and {other[place]:.1f}")
    for name, place in (("cx", (0, 2)), ("cy", (1, 2))):
        if abs(K[place] - other[place]) > _SAME_CENTRE_PX:
            parts.append(f"{name} {K[place]:.1f} and {other[place]:.1f}")
    size = max(len(first.distortion), len(second.distortion))
    lens, other_lens = np.zeros(size), np.zeros(size)
    lens[: len(first.distortion)] = first.distortion
    other_lens[: len(second.distortion)] = second.distortion
    curved = bool(lens.any() or other_lens.any())
    if curved and first.model != second.model:
        parts.append(f"lens models {first.model} and {second.model}")
    elif not np.allclose(lens, other_lens, atol=_SAME_DISTORTION):
        parts.append("lens distortion")
    return ", ".join(parts)


def _differences(
    source: str, calibration: Calibration, recording: Recording, robot: Robot
) -> list[str]:
    """Say what a calibration was made with that is not as here."""
    notes = []
    hashes = calibration.robot.description_hash, robot.description_hash
    if all(hashes) and hashes[0] != hashes[1]:
        notes.append(f"{source} was made with another robot description or other meshes")
    difference = intrinsics_difference(calibration.camera, recording.camera)
    if difference:
        notes.append(f"{source} was made with other intrinsics than the recording's: {difference}")
    return notes


def _named_by_user(
    given: GivenExtrinsics,
    options: CheckOptions | CompareOptions,
    recording: Recording,
    robot: Robot,
) -> GivenExtrinsics:
    """Return the extrinsics with frames called as the user calls them.

    An option gives a name to what has none, or another name to the same frame; it does not turn
    one frame into another.
    """
    links, optical = robot.kinematics.link_names, recording.camera.frame_id
    edges = recording.static_transforms
    published = {frame_name(name) for edge in edges for name in (edge.parent, edge.child)}
    others = (
        ("base", given.base_frame, options.base_frame, set(links)),
        ("camera", given.camera_frame, options.camera_frame, published | {frame_name(optical)}),
    )
    for option, stated, wanted, known in others:
        if wanted is not None and stated is not None and stated != wanted and stated in known:
            raise CommandError(
                f"{given.source} speaks of '{stated}', which is another frame than '{wanted}': "
                f"leave --{option}-frame out"
            )
    return replace(
        given,
        base_frame=options.base_frame or given.base_frame,
        camera_frame=options.camera_frame or given.camera_frame,
    )


def _scaled(camera: Camera, scale: float) -> Camera:
    K = camera.K.copy()
    K[[0, 1], [0, 1]] *= scale
    return replace(camera, K=K)
