# SPDX-License-Identifier: Apache-2.0
"""How accurate is `calibrate`, by each route, on recordings with a known camera?

Recordings are folders as `calib_all_ros.recording.folder` reads them, with ``masks/`` and, for the
robot, a bag inside that holds its description. Those without a known camera are judged by overlap.

    python -m benchmarks.accuracy
    python -m benchmarks.accuracy ../shared/data/d1 --routes exact rgb --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.mask_corruption import CORRUPTIONS, corrupt_masks
from benchmarks.reporting import add_output_argument, markdown_table, publish
from benchmarks.scenes import SHARED_DATA
from calib_all_ros.calibration import Mark, calibrate
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.geometry.rectification import Rectification
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.settings import Settings
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import simulate
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import match_joints
from calib_all_ros.solving.pose_errors import pose_errors

ROUTES = ("exact", *CORRUPTIONS, "rgb", "mark")
LENSES = {
    "demo (pinhole)": ("pinhole", ()),
    "plumb_bob k1 = -0.3": ("plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0)),
    "equidistant": ("equidistant", (0.05, -0.02, 0.0, 0.0)),
}
HEADER = ("recording", "route", "rotation deg", "position cm", "ADD mm", "verdict", "s")
# Left out in turn to see whether the pose depends on which late frames are in.
LEFT_OUT = ((2, 4), (7, 8, 9), (3, 5, 6))


@dataclass(frozen=True, eq=False)
class Case:
    """A recording with its masks and its robot."""

    name: str
    recording: Recording
    robot: Robot
    mark: Mark | None = None

    @property
    def truth(self) -> NDArray[np.float64] | None:
        """The (4, 4) true ``T_camera_base``, if known."""
        return self.recording.reference_T_camera_base

    @property
    def motion(self) -> RobotMotion:
        """The robot at every image."""
        recording, kinematics = self.recording, self.robot.kinematics
        assumed = match_joints(kinematics, recording.joints).assumed
        return RobotMotion(kinematics, recording.joints, recording.image_stamps_ns, assumed)

    def masks(self) -> NDArray[np.bool_]:
        """Read the (N, H, W) masks of all frames."""
        source = self.recording.masks
        if source is None:
            raise SystemExit(f"{self.name} has no masks")
        masks = [source[i] for i in range(len(source))]
        return np.stack([mask for mask in masks if mask is not None])


def load_case(folder: Path, robots: Path, urdf: Path | None = None) -> Case:
    """Read a recording folder; meshes are looked for in the folders inside ``robots``.

    The robot is the given one, that of the recording, of a bag inside it, or the one that its
    ``scene.json`` names.
    """
    masks = "recorded" if (folder / "masks").is_dir() else "auto"
    recording = load_recording(RecordingSource(folder, masks=masks))
    description: Path | str | None = urdf or recording.urdf
    if description is None and (folder / "bag").is_dir():
        description = load_recording(folder / "bag").urdf
    if description is None and (folder / "scene.json").is_file():
        description = folder / json.loads((folder / "scene.json").read_text())["urdf"]
    if description is None:
        raise SystemExit(f"{folder} holds no robot description: give one (--urdf)")
    meshes = [path for path in sorted(robots.iterdir()) if path.is_dir()]
    robot = load_robot(description, base_frame=recording.base_frame, mesh_paths=meshes)
    mark = None
    if (folder / "eef.json").is_file():
        eef = json.loads((folder / "eef.json").read_text())
        mark = Mark((eef["pixel"][0], eef["pixel"][1]), eef["frame"], eef["link"])
    return Case(folder.name, recording, robot, mark)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="default: all of ../shared/data")
    parser.add_argument("--robots", type=Path, default=SHARED_DATA / "robots")
    parser.add_argument("--urdf", type=Path, help="where the recordings name no robot")
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=list(ROUTES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of RGB only")
    parser.add_argument("--corruption-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--simulated", action="store_true", help="the demo arm and lenses as well")
    add_output_argument(parser)
    arguments = parser.parse_args()
    folders = arguments.folders
    if not folders and SHARED_DATA.is_dir():
        folders = [path.parent for path in sorted(SHARED_DATA.glob("*/camera.json"))]
    report = _Report()
    without_truth = []
    for folder in folders:
        case = load_case(folder, arguments.robots, arguments.urdf)
        if case.truth is None:
            without_truth.append(case)
            continue
        masks = case.masks() if {*arguments.routes} - {"rgb", "mark"} else np.zeros(0, bool)
        for route in arguments.routes:
            if route == "rgb":
                for seed in arguments.seeds:
                    report.run(case, f"RGB only, seed {seed}", None, seed=seed)
            elif route == "mark":
                report.run(case, "RGB and mark", None, mark=case.mark)
            elif route == "exact":
                report.run(case, "exact masks", masks)
            else:
                for seed in arguments.corruption_seeds:
                    spoiled = corrupt_masks(masks, CORRUPTIONS[route], seed)
                    report.run(case, f"{route} masks, seed {seed}", spoiled)
    if arguments.simulated:
        for case in simulated_cases():
            report.run(case, "RGB only", None)
    sections = report.sections()
    for case in without_truth:
        sections += _judge_without_truth(case)
    publish("Accuracy of calibrate()", sections, arguments.out)


class _Report:
    """Runs calibrations and collects their rows."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, ...]] = []
        self._reasons: list[str] = []

    def run(
        self,
        case: Case,
        route: str,
        masks: NDArray[np.bool_] | None,
        *,
        seed: int = 0,
        mark: Mark | None = None,
    ) -> None:
        truth = case.truth
        assert truth is not None
        calibration, seconds = _calibrate(case, masks, seed, mark)
        errors = pose_errors(calibration.T_camera_base, truth, case.robot, case.motion)
        row = (
            case.name,
            route,
            f"{errors.rotation_deg:.3f}",
            f"{errors.position_mm / 10:.3f}",
            f"{errors.add_mm:.2f}",
            calibration.verdict.status,
            f"{seconds:.1f}",
        )
        self._rows.append(row)
        print(" | ".join(row), flush=True)
        self._reasons += [f"- {case.name}, {route}: {r}" for r in calibration.verdict.reasons]

    def sections(self) -> list[str]:
        if not self._rows:
            return []
        return [markdown_table(HEADER, self._rows), "Reasons given:", "\n".join(self._reasons)]


def _calibrate(
    case: Case, masks: NDArray[np.bool_] | None, seed: int = 0, mark: Mark | None = None
) -> tuple[Calibration, float]:
    source = None if masks is None else FrameList(list(masks))
    recording = replace(case.recording, masks=source)
    began = time.perf_counter()
    calibration = calibrate(
        recording, case.robot, mark=mark, settings=Settings(seed=seed)
    ).calibration
    return calibration, time.perf_counter() - began


def simulated_cases() -> list[Case]:
    """Simulate the demo arm through several lenses; distorted ones raw and rectified."""
    robot = load_robot(demo_urdf_path())
    cases = []
    for name, (model, coefficients) in LENSES.items():
        settings = SimulationSettings(distortion_model=model, distortion=coefficients)
        simulated = simulate(robot, settings)
        joints = JointTrajectory(
            simulated.joint_names, simulated.joint_stamps_ns, simulated.joint_positions
        )
        recording = Recording(
            source=name,
            camera=simulated.camera,
            image_stamps_ns=simulated.image_stamps_ns,
            images=FrameList(list(simulated.images)),
            joints=joints,
            reference_T_camera_base=simulated.T_camera_base,
        )
        if simulated.camera.is_pinhole:
            cases.append(Case(name, recording, robot))
            continue
        lens = Rectification(simulated.camera)
        rectified = FrameList([lens.image(image) for image in simulated.images])
        cases.append(Case(f"{name}, raw", recording, robot))
        cases.append(
            Case(
                f"{name}, rectified",
                replace(recording, camera=lens.camera, images=rectified),
                robot,
            )
        )
    return cases


def _judge_without_truth(case: Case) -> list[str]:
    """Calibrate with the recorded masks and report overlaps, verdict and stability."""
    masks = case.masks()
    calibration, seconds = _calibrate(case, masks)
    motion = case.motion

    def overlaps(lag_s: float) -> str:
        T = calibration.T_camera_base @ motion.link_poses(lag_s)
        rendered = silhouettes(case.robot.surface, T, case.recording.camera)
        return " ".join(f"{iou:.3f}" for iou in intersection_over_union(rendered, masks))

    lag_s = (calibration.lag_ms or 0.0) / 1e3
    reasons = "\n".join(f"- {reason}" for reason in calibration.verdict.reasons)
    rows = []
    everything = np.arange(len(case.recording))
    for dropped in LEFT_OUT:
        kept = np.setdiff1d(everything, dropped)
        if len(kept) in (0, len(everything)):
            continue
        part = replace(case, recording=case.recording.subset(kept))
        other, _ = _calibrate(part, masks[kept])
        moved = pose_errors(other.T_camera_base, calibration.T_camera_base, case.robot, motion)
        rows.append(
            (
                ", ".join(str(frame) for frame in dropped),
                f"{moved.rotation_deg:.3f}",
                f"{moved.position_mm / 10:.3f}",
                f"{moved.add_mm:.2f}",
                other.verdict.status,
            )
        )
    header = ("left out", "moves by deg", "cm", "ADD mm", "verdict")
    return [
        f"### {case.name} (no known camera), recorded masks",
        f"Verdict: {calibration.verdict.status}, {seconds:.1f} s, common lag {1e3 * lag_s:.0f} ms.",
        f"Overlap of each frame without lag: {overlaps(0.0)}; with it: {overlaps(lag_s)}.",
        f"Reasons given:\n\n{reasons}",
        markdown_table(header, rows),
    ]


if __name__ == "__main__":
    main()
