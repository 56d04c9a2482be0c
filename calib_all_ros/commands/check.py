# SPDX-License-Identifier: Apache-2.0
"""`calib_all check`: measure given extrinsics on a recording."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.checking.check import (
    CheckStatus,
    Tolerance,
    check_evidence,
    check_extrinsics,
    checked_calibration,
)
from calib_all_ros.commands.calibrate import settings_of
from calib_all_ros.commands.check_report import FinishedCheck, check_document, check_table
from calib_all_ros.commands.options import CheckOptions, ExtrinsicsOptions, RecordingOptions
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.frame_tree import frame_name
from calib_all_ros.pictures.check_pictures import write_check_pictures
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.compilation import COMPILING, announce_compilation
from calib_all_ros.report.page import write_report
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.extrinsics_file import (
    GivenExtrinsics,
    in_frames,
    load_result,
    read_extrinsics,
)
from calib_all_ros.results.pose_text import parse_pose
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.second_arm import joined_description
from calib_all_ros.solve_job import load_inputs

logger = logging.getLogger(__name__)

FILE_NAME = "check.yaml"
# Intrinsics further apart than this put the robot elsewhere.
_SAME_FOCAL, _SAME_CENTRE_PX, _SAME_DISTORTION = 0.002, 1.0, 1e-3


class CheckError(CalibAllError):
    """Arguments of `calib_all check` or `calib_all compare` that do not go together."""


def run_check(options: CheckOptions, log: RunLog) -> CheckStatus:
    """Check extrinsics, write what was asked for and print the report.

    Args:
        options: What to do.
        log: Goes with the files.

    Returns:
        The verdict.

    Raises:
        CalibAllError: The input cannot be used, or the files cannot be written.
    """
    given = _given(options)
    settings = settings_of(options)
    quiet = options.quiet or options.json
    with ExitStack() as stack:
        folder = None
        if options.out is not None:
            # The folder comes first: that it cannot be written must not turn up after the work.
            folder = stack.enter_context(whole_or_nothing(options.out, RESULT_PICTURES))
        bars = stack.enter_context(StageBars(quiet=quiet))
        stack.enter_context(announce_compilation(lambda: bars.say(COMPILING)))
        bars("read", 0.0)
        recording, robot = load_for(options, given)
        recording, T_camera_base, notes = placed(given, options, recording, robot)
        bars("read", 1.0)
        check = check_extrinsics(
            recording,
            robot,
            T_camera_base,
            settings,
            bars,
            tolerance=Tolerance(options.tolerance_mm, options.tolerance_deg),
        )
        notes = (*notes, *check.reference.solution.observations.notes)
        finished = FinishedCheck(check, given.source, notes)
        logger.info("verdict: %s", check.status)
        for reason in check.reasons:
            logger.info("  %s", reason)
        if folder is not None and options.out is not None:
            bars("pictures", 0.0)
            names = _write(folder, finished, log)
            finished = replace(finished, files=tuple(options.out / name for name in names))
    if options.json:
        files = [str(path) for path in finished.files]
        print(json.dumps({**check_document(finished), "files": files}, allow_nan=False))
    elif not options.quiet:
        print(check_table(finished))
    return check.status


def load_for(options: RecordingOptions, given: GivenExtrinsics) -> tuple[Recording, Robot]:
    """Read the recording, and the robot with the base frame that the extrinsics speak of.

    Raises:
        CalibAllError: One of them cannot be read.
    """
    recording, robot = load_inputs(options.input_files())
    base, kinematics = given.base_frame, robot.kinematics
    if options.base_frame is None and base in kinematics.link_names:
        description = joined_description(options, recording.urdf)
        assert description is not None
        if base != kinematics.base_frame:
            robot = load_robot(description, base_frame=base, mesh_paths=options.mesh_paths)
    return recording, robot


def placed(
    given: GivenExtrinsics, options: ExtrinsicsOptions, recording: Recording, robot: Robot
) -> tuple[Recording, NDArray[np.float64], tuple[str, ...]]:
    """Bring extrinsics and recording together.

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
    hashes = calibration.robot.description_hash, robot.description_hash
    if all(hashes) and hashes[0] != hashes[1]:
        more.append(f"{given.source} was made with another robot description or other meshes")
    difference = intrinsics_difference(calibration.camera, recording.camera)
    if difference:
        more.append(
            f"{given.source} was made with other intrinsics than the recording's: {difference}"
        )
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


def _named_by_user(
    given: GivenExtrinsics, options: ExtrinsicsOptions, recording: Recording, robot: Robot
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
            raise CheckError(
                f"{given.source} speaks of '{stated}', which is another frame than '{wanted}': "
                f"leave --{option}-frame out"
            )
    return replace(
        given,
        base_frame=options.base_frame or given.base_frame,
        camera_frame=options.camera_frame or given.camera_frame,
    )


def _given(options: CheckOptions) -> GivenExtrinsics:
    if options.calibration is not None:
        if options.transform is not None:
            raise CheckError(
                "--transform goes with --extrinsics or --pose: a result says itself which way it "
                "goes"
            )
        return load_result(options.calibration)
    if options.extrinsics is not None:
        return read_extrinsics(options.extrinsics, options.transform)
    assert options.pose is not None
    return parse_pose(options.pose, options.transform)


def _scaled(camera: Camera, scale: float) -> Camera:
    K = camera.K.copy()
    K[[0, 1], [0, 1]] *= scale
    return replace(camera, K=K)


def _write(folder: Path, finished: FinishedCheck, log: RunLog) -> list[Path]:
    check = finished.check
    write_check_pictures(folder, check)
    calibration = checked_calibration(check, finished.notes)
    reference = check.reference
    write_report(folder, calibration, reference.recording, reference.robot, check_evidence(check))
    text = yaml_text.dump(check_document(finished), tables=("frames",))
    write_atomically(folder / FILE_NAME, text.encode())
    log.copy_to(folder)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
