# SPDX-License-Identifier: Apache-2.0
"""`calib_all plan`: propose joint configurations to record, before anything is recorded."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.collection.stop_and_go import write_configurations
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import answer
from calib_all_ros.commands.result_options import PlanOptions
from calib_all_ros.errors import EXIT_OK
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.pictures.overlay import save_png
from calib_all_ros.pictures.planned_configurations import configuration_sheet
from calib_all_ros.planning.camera_prior import CameraPrior, camera_with_view, looking_at
from calib_all_ros.planning.candidates import Limits
from calib_all_ros.planning.joint_ranges import JointRanges, PlanningError, arm_joints, joint_ranges
from calib_all_ros.planning.plan import Plan, PlanSettings, plan_configurations
from calib_all_ros.recording.camera_info import CameraFile, read_camera_file
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.solving.observations import make_view

logger = logging.getLogger(__name__)

PICTURE = "planned_configurations.png"
_ROUGH_M, _ROUGH_DEG = 0.15, 10.0
# A camera that was calibrated before has hardly been moved since.
_CALIBRATED_M, _CALIBRATED_DEG = 0.05, 3.0
_PICTURE_WIDTH_PX = 640


def run(options: PlanOptions, log: RunLog) -> int:
    """Propose configurations, write them and print how much they are worth.

    Raises:
        CalibAllError: The input cannot be used, no configuration keeps to the limits, or the
            files cannot be written.
    """
    settings = _settings(options)
    with StageBars(quiet=options.silent) as bars:
        bars("read", 0.0)
        earlier = None if options.calibration is None else Calibration.load(options.calibration)
        base_frame = options.base_frame
        if base_frame is None and earlier is not None:
            base_frame = earlier.robot.base_frame
        robot = load_robot(options.urdf, base_frame=base_frame, mesh_paths=options.mesh_paths)
        ranges = joint_ranges(
            robot.kinematics,
            moved=options.joints,
            home=_home(options, robot.kinematics),
            margin=options.joint_limits_margin,
        )
        prior = _prior(options, robot, ranges, earlier)
        bars("read", 1.0)
        plan = plan_configurations(robot, ranges, prior, settings, bars)
        files = _write(options, plan, robot, prior)
    logger.info("%d configurations written to %s", len(plan), options.out)
    answer(options, _document(plan, files), _table(plan, files))
    return EXIT_OK


def _settings(options: PlanOptions) -> PlanSettings:
    if options.no_ground and options.ground is not None:
        raise PlanningError("--ground and --no-ground exclude each other: give one of them")
    limits = Limits(
        ground_m=None if options.no_ground else (options.ground or 0.0),
        workspace=options.workspace,
        in_view=options.in_view,
    )
    return PlanSettings(count=options.count, limits=limits, seed=options.seed)


def _home(options: PlanOptions, kinematics: Kinematics) -> dict[str, float]:
    """Return the positions that --home gives, by joint names."""
    given = options.home
    if any(name for name, _ in given):
        if not all(name for name, _ in given):
            raise PlanningError("--home mixes values with and without names: give all or none")
        return {str(name): value for name, value in given}
    orders = (kinematics.joint_names, arm_joints(kinematics), options.joints or ())
    for names in orders:
        if len(given) in (0, len(names)):
            return {name: value for name, (_, value) in zip(names, given, strict=False)}
    raise PlanningError(
        f"--home has {len(given)} values, but the robot has the joints "
        f"{', '.join(kinematics.joint_names)}: give one for each of them, one for each joint of "
        "the arm, or name them (joint=value)"
    )


def _prior(
    options: PlanOptions, robot: Robot, ranges: JointRanges, earlier: Calibration | None
) -> CameraPrior:
    """Put together what the options say about the camera."""
    file = None if options.camera is None else read_camera_file(options.camera)
    camera = _camera(options, file, earlier)
    rough = _ROUGH_M, _ROUGH_DEG
    if options.camera_position is not None:
        target = options.look_at or _centre(robot, ranges)
        T_camera_base = looking_at(options.camera_position, target)
    elif options.look_at is not None:
        raise PlanningError("--look-at needs --camera-position X,Y,Z, too")
    elif earlier is not None:
        _require_base(str(options.calibration), earlier.robot.base_frame, robot)
        T_camera_base = earlier.T_camera_base
        if earlier.verdict.status != "rejected":
            rough = _CALIBRATED_M, _CALIBRATED_DEG
    elif file is not None and file.T_camera_base is not None:
        _require_base(str(options.camera), file.base_frame, robot)
        T_camera_base, rough = file.T_camera_base, (_CALIBRATED_M, _CALIBRATED_DEG)
    else:
        raise PlanningError(
            "where the camera is is not known: give --camera-position X,Y,Z in metres in the "
            f"frame {robot.kinematics.base_frame}, or --calibration FILE"
        )
    metres, degrees = options.pose_uncertainty or rough
    return CameraPrior(camera, T_camera_base, metres, float(np.radians(degrees)))


def _camera(options: PlanOptions, file: CameraFile | None, earlier: Calibration | None) -> Camera:
    by_view = options.resolution is not None or options.hfov is not None
    if file is not None and by_view:
        raise PlanningError("--camera says what --resolution and --hfov say: give one of the two")
    if file is not None:
        return file.camera
    if by_view:
        if options.resolution is None or options.hfov is None:
            raise PlanningError("--resolution WxH and --hfov DEG belong together: give both")
        return camera_with_view(*options.resolution, options.hfov)
    if earlier is not None:
        return earlier.camera
    raise PlanningError(
        "no camera was given: give --camera FILE, --resolution WxH with --hfov DEG, or "
        "--calibration FILE"
    )


def _require_base(source: str, base_frame: str | None, robot: Robot) -> None:
    if base_frame not in (None, robot.kinematics.base_frame):
        raise PlanningError(
            f"{source} gives the camera's pose relative to '{base_frame}', but the base frame is "
            f"'{robot.kinematics.base_frame}': give --base-frame {base_frame}, or "
            "--camera-position"
        )


def _centre(robot: Robot, ranges: JointRanges) -> tuple[float, float, float]:
    """Return the middle of the robot in its home configuration, in the base frame."""
    T = robot.kinematics.forward(ranges.home[None])[0, robot.surface.link_of_vertex]
    points = np.einsum("vij,vj->vi", T[:, :3, :3], robot.surface.vertices) + T[:, :3, 3]
    x, y, z = 0.5 * (points.min(axis=0) + points.max(axis=0))
    return float(x), float(y), float(z)


def _write(options: PlanOptions, plan: Plan, robot: Robot, prior: CameraPrior) -> list[Path]:
    write_configurations(options.out, plan.configurations)
    if options.pictures is None:
        return [options.out]
    captions = [
        f"{number}: {100 * share:.0f} % in view" for number, share in enumerate(plan.in_view, 1)
    ]
    camera = make_view(prior.camera, _PICTURE_WIDTH_PX).camera
    sheet = configuration_sheet(robot, plan.positions, camera, prior.T_camera_base, captions)
    path = options.pictures / PICTURE
    save_png(path, sheet)
    return [options.out, path]


def _table(plan: Plan, files: list[Path]) -> str:
    names = plan.configurations.joint_names
    shown = [_short(name, names) for name in names]
    rows = [["", *shown, "in view", "mm", "deg"], ["before", *("" for _ in names), ""]]
    for number, position in enumerate(plan.configurations.positions, 1):
        share = f"{100 * plan.in_view[number - 1]:.0f} %"
        rows.append([str(number), *(f"{value:+.3f}" for value in position), share])
    millimetres, degrees = _expected(plan)
    for row, mm, deg in zip(rows[1:], millimetres, degrees, strict=True):
        row += [f"{mm:.1f}", f"{deg:.2f}"]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    lines += ["", *(f"- {sentence}" for sentence in (*_summary(plan), *plan.notes)), ""]
    lines += [str(path) for path in files]
    return "\n".join(lines)


def _short(name: str, names: tuple[str, ...]) -> str:
    """Return a joint's name without what all names begin with, e.g. "panda_"."""
    shared = 0
    while all(n[shared : shared + 1] == name[shared : shared + 1] for n in names):
        if shared >= len(name) - 1 or len(names) < 2:
            return name
        shared += 1
    start = name[:shared].rfind("_") + 1
    return name[start:]


def _expected(plan: Plan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return 1e3 * plan.position_sigma_m, np.degrees(plan.rotation_sigma_rad)


def _summary(plan: Plan) -> list[str]:
    millimetres, degrees = _expected(plan)
    random_mm = 1e3 * plan.random_position_sigma_m[-1]
    random_deg = np.degrees(plan.random_rotation_sigma_rad[-1])
    better = (millimetres <= random_mm) & (degrees <= random_deg)
    reached = int(np.argmax(better)) if better.any() else len(plan)
    return [
        "joints in radians or metres; mm and deg: standard deviation of the camera's position and "
        "rotation to be expected once this configuration and those before it are recorded, with "
        "masks of ordinary quality",
        f"{len(plan)} random configurations within the same limits would leave {random_mm:.1f} mm "
        f"and {random_deg:.2f} deg; these leave {millimetres[-1]:.1f} mm and {degrees[-1]:.2f} "
        f"deg, and are as good after {reached}",
    ]


def _document(plan: Plan, files: list[Path]) -> dict[str, object]:
    millimetres, degrees = _expected(plan)
    return {
        "joint_names": list(plan.configurations.joint_names),
        "configurations": plan.configurations.positions.tolist(),
        "in_view": plan.in_view.tolist(),
        "travel": plan.travel,
        "expected_position_mm": millimetres.tolist(),
        "expected_rotation_deg": degrees.tolist(),
        "random_position_mm": (1e3 * plan.random_position_sigma_m).tolist(),
        "random_rotation_deg": np.degrees(plan.random_rotation_sigma_rad).tolist(),
        "candidates": {
            "drawn": plan.candidates.drawn,
            "passed": len(plan.candidates.positions),
            "removed": plan.candidates.removed,
        },
        "notes": list(plan.notes),
        "files": [str(path) for path in files],
    }
