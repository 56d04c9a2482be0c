# SPDX-License-Identifier: Apache-2.0
"""`calib_all trajectory`: predicted actions in the image, beside what the robot did."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.action_paths import (
    EXECUTED,
    ActionPath,
    PathErrors,
    SeenPath,
    executed_path,
    path_errors,
    path_of_table,
    seen_path,
)
from calib_all_ros.annotation.action_table import read_table
from calib_all_ros.annotation.end_effector import find_end_effector
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frames import AnnotatedRecording, annotated_recording
from calib_all_ros.annotation.occlusion import Occluders
from calib_all_ros.annotation.path_files import PICTURE_NAME, write_path_files
from calib_all_ros.annotation.path_picture import draw_paths
from calib_all_ros.commands.calibrated import load_calibrated, usable_calibration
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import answer
from calib_all_ros.commands.result_options import TrajectoryOptions
from calib_all_ros.errors import EXIT_OK
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.pictures.overlay import save_png
from calib_all_ros.recording.folder import read_bytes
from calib_all_ros.recording.image_coding import decode_compressed
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import load_robot
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.second_arm import joined_description
from calib_all_ros.solving.estimate import Estimate

logger = logging.getLogger(__name__)

_IMAGES = (".png", ".jpg", ".jpeg")
_FEWEST_EXECUTED_HZ = 10.0


def run(options: TrajectoryOptions, log: RunLog) -> int:
    """Draw predicted trajectories, measure them and print how far off they are.

    Raises:
        CalibAllError: The input cannot be used, or the output cannot be written.
    """
    tables = [read_table(given, options.columns) for given in options.tables]
    _require_own_names([table.name for table in tables])
    with ExitStack() as stack:
        bars = stack.enter_context(StageBars(quiet=options.silent))
        bars("read", 0.0)
        scene = _load_image(options)
        bars("read", 1.0)
        paths = [
            path_of_table(
                table,
                rate_hz=scene.rate_hz,
                first_stamp_ns=scene.stamp_ns,
                kinematics=scene.kinematics,
                eef_link=scene.eef_link,
                joint_offsets=scene.joint_offsets,
            )
            for table in tables
        ]
        paths = [_cut(path, options.steps) for path in paths]
        predicted = scene.seen(paths)
        errors = {
            path.path.name: None
            if scene.annotated is None
            else path_errors(path, scene.annotated, scene.frame)
            for path in predicted
        }
        seen = [*scene.seen(scene.executed(paths)), *predicted]
        picture = draw_paths(scene.image, seen, _caption(options, scene, errors))
        if options.out.suffix.lower() == ".png":
            save_png(options.out, picture)
        else:
            folder = stack.enter_context(whole_or_nothing(options.out))
            save_png(folder / PICTURE_NAME, picture)
            write_path_files(folder, seen, errors)
            log.copy_to(folder)
    for note in scene.notes:
        logger.info(note)
    document = {
        "errors": {name: error and asdict(error) for name, error in errors.items()},
        "notes": scene.notes,
        "written": options.out,
    }
    answer(options, document, _as_text(errors, options.out, scene.notes))
    return EXIT_OK


def _require_own_names(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if name == EXECUTED or name in names[:place]:
            raise AnnotationError(
                f"'{name}' is the name of another trajectory, too: call a table differently, "
                "NAME=FILE"
            )


def _cut(path: ActionPath, steps: int | None) -> ActionPath:
    return replace(path, times_s=path.times_s[:steps], positions=path.positions[:steps])


def _caption(
    options: TrajectoryOptions, scene: _DrawnImage, errors: dict[str, PathErrors | None]
) -> str:
    parts = [f"{options.recording.name}, pale: the beginning, full: the end"]
    if scene.annotated is not None:
        parts[0] = f"{options.recording.name}, image {scene.frame}; pale: now, full: the end"
    parts += [
        f"{name}: {1e3 * e.mean_m:.1f} mm, {e.mean_px:.1f} px off on average"
        for name, e in errors.items()
        if e is not None
    ]
    return "; ".join(parts)


def _as_text(errors: dict[str, PathErrors | None], out: Path, notes: tuple[str, ...]) -> str:
    width = max(len("predicted"), *(len(name) for name in errors))
    lines = [f"{'predicted':<{width}}  steps  mean mm  final mm  mean px  final px"]
    for name, e in errors.items():
        if e is None:
            lines.append(f"{name:<{width}}  nothing to compare with")
        else:
            lines.append(
                f"{name:<{width}}  {e.steps:5d}  {1e3 * e.mean_m:7.1f}  {1e3 * e.final_m:8.1f}  "
                f"{e.mean_px:7.1f}  {e.final_px:8.1f}"
            )
    return "\n".join([*lines, f"written: {out}", *(f"- {note}" for note in notes)])


@dataclass(frozen=True, eq=False)
class _DrawnImage:
    """What the ways are drawn on.

    Attributes:
        image: (H, W, 3) RGB.
        camera: Its camera.
        T_camera_base: (4, 4).
        rate_hz: Steps per second of tables without times.
        kinematics: The robot, None where it is not known.
        eef_link: Its end-effector.
        joint_offsets: Of the calibration, by joint.
        annotated: The recording, None for a single image.
        frame: Number of the image in it.
        notes: What the user may want to know, one sentence each.
    """

    image: NDArray[np.uint8]
    camera: Camera
    T_camera_base: NDArray[np.float64]
    rate_hz: float
    kinematics: Kinematics | None
    eef_link: str | None
    joint_offsets: dict[str, float]
    annotated: AnnotatedRecording | None
    frame: int
    notes: tuple[str, ...]

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the image, None where it has none."""
        if self.annotated is None:
            return None
        return int(self.annotated.motion.stamps_ns[self.frame])

    def executed(self, paths: Sequence[ActionPath]) -> list[ActionPath]:
        """Return what the robot did while the longest of some ways lasts, if that is known."""
        if self.annotated is None:
            return []
        last_s = max(float(path.times_s[-1]) for path in paths)
        rate_hz = max(self.rate_hz, _FEWEST_EXECUTED_HZ)
        times_s = np.append(np.arange(0.0, last_s, 1.0 / rate_hz), last_s)
        return [executed_path(self.annotated, self.frame, times_s)]

    def seen(self, paths: Sequence[ActionPath]) -> list[SeenPath]:
        """Return ways as the camera sees them, the robot standing as it does in the image."""
        occluders, T_camera_link = None, None
        if self.annotated is not None:
            annotated = self.annotated
            # The gripper hides nothing: the ways begin in it.
            occluders = Occluders.of(annotated.surface, annotated.end_effector.own_links)
            here = annotated.motion.subset(np.array([self.frame]))
            T_camera_link = self.T_camera_base @ annotated.estimate.link_poses(here)[0]
        return [
            seen_path(path, self.camera, self.T_camera_base, occluders, T_camera_link)
            for path in paths
        ]


def _load_image(options: TrajectoryOptions) -> _DrawnImage:
    """Read a recording, or a single image.

    Raises:
        CalibAllError: It cannot be read, or does not go with the calibration.
    """
    is_image = options.recording.suffix.lower() in _IMAGES
    return _single_image(options) if is_image else _recorded_image(options)


def _single_image(options: TrajectoryOptions) -> _DrawnImage:
    given, calibration = usable_calibration(options)
    image = decode_compressed(read_bytes(options.recording), str(options.recording))
    camera = calibration.camera
    if image.shape[:2] != (camera.height, camera.width):
        raise AnnotationError(
            f"{options.recording} is {image.shape[1]}x{image.shape[0]}, {given.source} is of a "
            f"camera with {camera.width}x{camera.height}: give an image of this camera"
        )
    kinematics, link = None, None
    notes = ["a single image: there is no executed trajectory, and nothing is hidden"]
    description = joined_description(options.input_files(), None)
    if description is not None:
        robot = load_robot(
            description,
            base_frame=options.base_frame or calibration.robot.base_frame,
            mesh_paths=options.mesh_paths,
        )
        kinematics = robot.kinematics
        end_effector = find_end_effector(robot, options.eef_link)
        link = end_effector.link
        notes.append(end_effector.why)
    return _DrawnImage(
        image=image,
        camera=Estimate(
            calibration.T_camera_base, focal_scale=calibration.focal_scale or 1.0
        ).camera(camera),
        T_camera_base=calibration.T_camera_base,
        rate_hz=options.rate_hz or 1.0,
        kinematics=kinematics,
        eef_link=link,
        joint_offsets=calibration.joint_offsets or {},
        annotated=None,
        frame=0,
        notes=tuple(notes),
    )


def _recorded_image(options: TrajectoryOptions) -> _DrawnImage:
    inputs = load_calibrated(options)
    recording = inputs.recording
    if options.frame >= len(recording):
        raise AnnotationError(
            f"{recording.source} has {len(recording)} images, there is no image {options.frame} "
            "(they count from 0)"
        )
    annotated = annotated_recording(
        recording, inputs.robot, inputs.calibration, eef_link=options.eef_link
    )
    if options.frame not in annotated.frames:
        raise AnnotationError(
            f"image {options.frame} of {recording.source} has no joint states: name another one "
            f"(--frame), e.g. {annotated.frames[0]}"
        )
    images_hz = 1e9 / float(np.median(np.diff(recording.image_stamps_ns)))
    return _DrawnImage(
        image=recording.images[options.frame],
        camera=annotated.camera,
        T_camera_base=annotated.estimate.T_camera_base,
        rate_hz=options.rate_hz or images_hz,
        kinematics=inputs.robot.kinematics,
        eef_link=annotated.end_effector.link,
        joint_offsets=inputs.calibration.joint_offsets or {},
        annotated=annotated,
        frame=options.frame,
        notes=(*inputs.notes, annotated.end_effector.why),
    )
