# SPDX-License-Identifier: Apache-2.0
"""A recording, its robot, and a calibration that goes with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from calib_all_ros.annotation.frames import AnnotatedRecording, annotated_recording
from calib_all_ros.commands.annotate_options import AnnotateOptions, CalibratedOptions
from calib_all_ros.commands.check import intrinsics_difference, load_for
from calib_all_ros.errors import CalibAllError
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.extrinsics_file import GivenExtrinsics, in_frames, load_result
from calib_all_ros.robot.description import Robot


class CalibratedInputsError(CalibAllError):
    """A calibration that should not be used, or not on this recording."""


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
    """Read everything, and make sure that it belongs together.

    Raises:
        CalibratedInputsError: The calibration was rejected, or is of a camera with another image
            size, or of another robot.
        CalibAllError: Something cannot be read.
    """
    given, calibration = usable_calibration(options)
    recording, robot = load_for(options, given)
    _require_same_size(given, calibration, recording)
    if calibration.robot.name != robot.name and not options.force:
        raise CalibratedInputsError(
            f"{given.source} is of the robot '{calibration.robot.name}', this one is called "
            f"'{robot.name}': give the calibration of this robot, or --force if it is the same"
        )
    T_camera_base, notes = in_frames(
        given, robot.kinematics.base_frame, recording.camera.frame_id, recording.static_transforms
    )
    return CalibratedInputs(
        recording=recording,
        robot=robot,
        calibration=replace(
            calibration,
            T_camera_base=T_camera_base,
            robot=replace(calibration.robot, base_frame=robot.kinematics.base_frame),
        ),
        source=given.source,
        notes=(*notes, *_differences(given.source, calibration, recording, robot)),
    )


def annotated_inputs(options: AnnotateOptions, inputs: CalibratedInputs) -> AnnotatedRecording:
    """Return what is annotated, with the notes of both.

    Raises:
        CalibAllError: They do not go together, or a link that is named is unknown.
    """
    annotated = annotated_recording(
        inputs.recording,
        inputs.robot,
        inputs.calibration,
        eef_link=options.eef_link,
        gripper_links=options.gripper_links,
    )
    annotated = replace(annotated, notes=(*inputs.notes, *annotated.notes))
    return annotated.every(options.every)


def usable_calibration(options: CalibratedOptions) -> tuple[GivenExtrinsics, Calibration]:
    """Read the calibration.

    Raises:
        CalibratedInputsError: It was rejected.
        ResultError: There is none, or it is broken.
    """
    given = load_result(options.calibration)
    calibration = given.calibration
    assert calibration is not None
    if calibration.verdict.status == "rejected" and not options.force:
        raise CalibratedInputsError(
            f"{given.source} was rejected ({calibration.verdict.reasons[0]}): calibrate again, or "
            "--force if it has to be this one"
        )
    return given, calibration


def _require_same_size(
    given: GivenExtrinsics, calibration: Calibration, recording: Recording
) -> None:
    first, second = calibration.camera, recording.camera
    if (first.width, first.height) != (second.width, second.height):
        raise CalibratedInputsError(
            f"{given.source} is of a camera with {first.width}x{first.height} pixels, the images "
            f"of {recording.source} have {second.width}x{second.height}: give the calibration of "
            "this camera and resolution"
        )


def _differences(
    source: str, calibration: Calibration, recording: Recording, robot: Robot
) -> list[str]:
    notes = []
    status, reasons = calibration.verdict.status, calibration.verdict.reasons
    if status != "accepted":
        notes.append(f"the verdict on {source} is '{status}': {reasons[0]}")
    hashes = calibration.robot.description_hash, robot.description_hash
    if all(hashes) and hashes[0] != hashes[1]:
        notes.append(f"{source} was made with another robot description")
    difference = intrinsics_difference(calibration.camera, recording.camera)
    if difference:
        notes.append(f"{source} was made with other intrinsics than the recording's: {difference}")
    fingerprints = calibration.provenance.fingerprint, recording.fingerprint
    if all(fingerprints) and fingerprints[0] != fingerprints[1]:
        notes.append(
            f"{source} was made from another recording: it is right here if the camera has not "
            "moved since"
        )
    return notes
