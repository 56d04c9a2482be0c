# SPDX-License-Identifier: Apache-2.0
"""How fast are the parts and the whole, and how does time grow?

Ratios are taken within one run, on the same rasteriser and frames, and CPU time stands beside wall
time, because other work on a machine moves all absolute times.

    python -m benchmarks.speed
    python -m benchmarks.speed --parts adam --adam-steps 10000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy import load_case
from benchmarks.reporting import add_output_argument, markdown_table, publish
from benchmarks.scenes import (
    SHARED_DATA,
    Scene,
    add_robot_argument,
    benchmark_robot,
    random_scene,
    vga_camera,
)
from benchmarks.table3 import disturbed
from calib_all_ros.geometry import se3
from calib_all_ros.rendering.rasteriser import render, silhouettes
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.solving.adam import AdamSettings, fit_adam
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.search import search_change, search_masks
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem, fit_silhouettes

PARTS = ("rasteriser", "refinement", "adam", "search", "command")
CELLS_M = (0.03, 0.02, 0.01, 0.005, 0.003, 0.001, 0.0)
FRAME_COUNTS = (1, 5, 10, 30, 100, 300)
PAPER_STEPS = 10_000
# The refinement starts as far off as the paper's coarse stage leaves it on DREAM.
START_CM = (5.0, 6.0)
START_DEG = (3.5, 4.5)
POSE_ONLY = Parameters(lag=False, mask_bias=False)
# Linux counts what the parent held when it forked as the child's own peak: the parent of what is
# measured must be small.
_WATCH = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{time.perf_counter() - began:.1f} {used.ru_utime + used.ru_stime:.1f}"
      f" {used.ru_maxrss / 1024:.0f} {code}")
"""


@dataclass(frozen=True)
class Duration:
    """How long something took, and how much work it was for all cores together."""

    wall_s: float
    cpu_s: float


class _Clock:
    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Duration:
        return Duration(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--adam-steps",
        type=int,
        default=PAPER_STEPS,
        help="times of fewer steps are extrapolated, and the table says so",
    )
    parser.add_argument("--adam-frames", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--adam-rates", type=float, nargs="+", default=[1e-2, 1e-3])
    parser.add_argument("--recording", type=Path, default=SHARED_DATA / "d1")
    parser.add_argument("--robots", type=Path, default=SHARED_DATA / "robots")
    add_robot_argument(parser)
    add_output_argument(parser)
    arguments = parser.parse_args()
    robot = benchmark_robot(arguments.urdf)
    caster = RayCaster(robot.surface)
    parts = {
        "rasteriser": partial(rasteriser, robot),
        "refinement": partial(refinement, robot, caster),
        "adam": partial(
            against_adam,
            robot,
            caster,
            arguments.adam_frames,
            arguments.adam_steps,
            arguments.adam_rates,
        ),
        "search": partial(searches, arguments.recording, arguments.robots),
        "command": partial(whole_command, arguments.recording, arguments.robots),
    }
    for part in arguments.parts:
        publish(f"Speed: {part} ({robot.name})", parts[part](), arguments.out)


def rasteriser(robot: Robot) -> list[str]:
    """Time the rasteriser at several sizes of the mesh."""
    poses, camera = _views(robot, 8), vga_camera()
    rows = []
    for surface in _meshes(robot.surface):
        jobs = (
            partial(render, surface, poses, camera),
            partial(silhouettes, surface, poses, camera),
            partial(render, surface, poses[:1], camera),
        )
        batch, flat, alone = (_median(job) for job in jobs)
        rows.append(
            (
                str(len(surface.faces)),
                f"{1e3 * batch.wall_s / len(poses):.2f}",
                f"{1e3 * batch.cpu_s / len(poses):.2f}",
                f"{1e3 * flat.wall_s / len(poses):.2f}",
                f"{1e3 * alone.wall_s:.2f}",
            )
        )
    header = ("faces", "ms a frame", "CPU ms a frame", "ms a frame, no depth", "ms, one alone")
    return ["640x480, batches of 8 frames, median of 15.", markdown_table(header, rows)]


def refinement(robot: Robot, caster: RayCaster) -> list[str]:
    """Time the refinement with the number of frames and of faces."""
    header = ("s", "CPU s", "rotation deg", "position cm")
    by_frames, by_faces = [], []
    for frames in FRAME_COUNTS:
        scene = random_scene(robot, caster, frames, seed=1)
        by_frames.append((str(frames), *_refinement_cells(scene, robot.surface)))
    scene = random_scene(robot, caster, 10, seed=1)
    for surface in _meshes(robot.surface):
        by_faces.append((str(len(surface.faces)), *_refinement_cells(scene, surface)))
    return [
        f"From {START_CM[0]:g}-{START_CM[1]:g} cm and {START_DEG[0]:g}-{START_DEG[1]:g} deg off, "
        "full schedule, 640x480, masks by ray casting; the better of two runs.",
        markdown_table(("frames", *header), by_frames),
        "Ten frames, meshes simplified beforehand:",
        markdown_table(("faces", *header), by_faces),
    ]


def _refinement_cells(scene: Scene, surface: RobotSurface) -> tuple[str, ...]:
    took, degrees, cm = _refine(scene, surface)
    return f"{took.wall_s:.2f}", f"{took.cpu_s:.2f}", f"{degrees:.4f}", f"{cm:.4f}"


def against_adam(
    robot: Robot, caster: RayCaster, frame_counts: list[int], steps: int, rates: list[float]
) -> list[str]:
    """Compare the refinement with Adam on the mask loss from the same start."""
    rows = []
    for frames in frame_counts:
        scene = random_scene(robot, caster, frames, seed=1)
        problem = SilhouetteProblem(robot.surface, scene.motion, scene.camera, scene.masks)
        start = _start(scene)
        ours, degrees, cm = _refine(scene, robot.surface)
        rows.append((str(frames), "refinement", f"{degrees:.4f}", f"{cm:.4f}",
                     f"{ours.wall_s:.2f}", f"{ours.cpu_s:.2f}", "1", "1"))  # fmt: skip
        fit_adam(problem, start, AdamSettings(steps=1))  # compiles
        for rate in rates:
            clock = _Clock()
            fit = fit_adam(problem, start, AdamSettings(steps=steps, learning_rate=rate))
            took = clock.read()
            degrees, metres = se3.difference(fit.estimate.T_camera_base, scene.T_camera_base)
            name = f"Adam, rate {rate:g}, {steps} steps"
            if steps != PAPER_STEPS:
                name += f" (times extrapolated to {PAPER_STEPS})"
            wall_s = took.wall_s * PAPER_STEPS / steps
            cpu_s = took.cpu_s * PAPER_STEPS / steps
            rows.append((str(frames), name, f"{degrees:.4f}", f"{100 * metres:.4f}",
                         f"{wall_s:.1f}", f"{cpu_s:.1f}", f"{wall_s / ours.wall_s:.0f}",
                         f"{cpu_s / ours.cpu_s:.0f}"))  # fmt: skip
            print(" | ".join(rows[-1]), flush=True)
    header = ("frames", "method", "rotation deg", "position cm", "s", "CPU s", "ratio", "CPU ratio")
    return [
        "The same masks, start, mesh and rasteriser; Adam keeps its best iterate.",
        markdown_table(header, rows),
    ]


def searches(folder: Path, robots: Path) -> list[str]:
    """Time the search without a mark, with masks and from image change."""
    case = load_case(folder, robots)
    recording, surface = case.recording, case.robot.surface
    frames = np.linspace(0, len(recording) - 1, 8).astype(np.intp)
    masks = case.masks()[frames[:5]]
    problem = SilhouetteProblem(surface, case.motion.subset(frames[:5]), recording.camera, masks)
    images = np.stack([recording.images[int(i)] for i in frames])
    motion = case.motion.subset(frames)
    jobs = {
        "masks, 5 frames": partial(search_masks, problem),
        "image change, 8 frames": partial(search_change, images, surface, motion, recording.camera),
    }
    rows = []
    for name, job in jobs.items():
        took = _median(job, 3)
        rows.append((name, f"{took.wall_s:.1f}", f"{took.cpu_s:.1f}"))
    header = ("evidence", "s", "CPU s")
    return [f"On {folder.name}; median of 3.", markdown_table(header, rows)]


def whole_command(folder: Path, robots: Path) -> list[str]:
    """Time the command line and its memory, in processes of their own."""
    meshes = [path for path in sorted(robots.iterdir()) if path.is_dir()]
    rows = []
    for name, masks in (("RGB only", "auto"), ("with masks", str(folder / "masks"))):
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "calib_all_ros", "calibrate", str(folder / "bag")]
            command += ["--out", str(Path(scratch) / "out"), "--masks", masks, "--quiet"]
            for mesh_path in meshes:
                command += ["--mesh-path", str(mesh_path)]
            watched = [sys.executable, "-c", _WATCH, *command]
            report = subprocess.run(watched, stdout=subprocess.PIPE, text=True, check=True)
        seconds, cpu_s, peak_mb, code = report.stdout.split()
        rows.append((name, seconds, cpu_s, peak_mb, code))
    header = ("calib_all calibrate", "s", "CPU s", "peak MB", "exit code")
    return [f"On {folder.name}/bag, kernels compiled before.", markdown_table(header, rows)]


def _views(robot: Robot, count: int) -> np.ndarray:
    scene_caster = RayCaster(robot.surface.simplified(0.02))
    scene = random_scene(robot, scene_caster, count, seed=1)
    return np.asarray(scene.T_camera_base @ scene.motion.link_poses())


def _meshes(surface: RobotSurface) -> list[RobotSurface]:
    meshes = [surface.simplified(cell) for cell in CELLS_M]
    sizes = [len(mesh.faces) for mesh in meshes]
    return [mesh for i, mesh in enumerate(meshes) if sizes[i] not in sizes[:i]]


def _start(scene: Scene) -> Estimate:
    rng = np.random.default_rng(0)
    return Estimate(disturbed(scene.T_camera_base, START_CM, START_DEG, rng))


def _refine(scene: Scene, surface: RobotSurface) -> tuple[Duration, float, float]:
    """Return duration, degrees and centimetres of the refinement."""
    problem = SilhouetteProblem(surface, scene.motion, scene.camera, scene.masks)
    start = _start(scene)
    durations = []
    for _ in range(2):
        clock = _Clock()
        fit = fit_silhouettes(problem, start, POSE_ONLY)
        durations.append(clock.read())
    degrees, metres = se3.difference(fit.estimate.T_camera_base, scene.T_camera_base)
    return min(durations, key=lambda d: d.wall_s), degrees, 100 * metres


def _median(job: Callable[[], object], repeats: int = 15) -> Duration:
    job()
    durations = []
    for _ in range(repeats):
        clock = _Clock()
        job()
        durations.append(clock.read())
    return Duration(
        float(np.median([d.wall_s for d in durations])),
        float(np.median([d.cpu_s for d in durations])),
    )


if __name__ == "__main__":
    main()
