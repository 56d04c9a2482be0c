# SPDX-License-Identifier: Apache-2.0
"""From how far away does the refinement converge? The protocol of CalibAll, Table 3.

Random camera poses that see the robot are the truth; masks are made there by ray casting. Each
truth is disturbed by a shift of the camera in a random direction and a rotation about a random
axis, both drawn from the ranges of one of 25 cells (Appendix A of the paper), and refined from
there. A trial has converged below 1 degree and 1 cm.

    python -m benchmarks.table3 --frames 1 5 --trials 6
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.reporting import add_output_argument, markdown_table, publish
from benchmarks.restarts import fit_silhouettes_with_restarts
from benchmarks.scenes import add_robot_argument, benchmark_robot, random_scene
from calib_all_ros.geometry import se3
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem, fit_silhouettes

POSITION_CM = ((1.0, 5.0), (5.0, 10.0), (10.0, 15.0), (15.0, 20.0), (20.0, 25.0))
ROTATION_DEG = ((0.1, 2.5), (2.5, 5.0), (5.0, 7.5), (7.5, 10.0), (10.0, 15.0))
CONVERGED_DEG = 1.0
CONVERGED_CM = 1.0


@dataclass(frozen=True)
class Trial:
    """One refinement: its cell, its scene, its errors and its time."""

    row: int
    column: int
    seed: int
    rotation_deg: float
    position_cm: float
    iou: float
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether the camera was found."""
        return self.rotation_deg < CONVERGED_DEG and self.position_cm < CONVERGED_CM


def disturbed(
    T_camera_base: NDArray[np.float64],
    position_cm: tuple[float, float],
    rotation_deg: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Move the camera by a distance and turn it by an angle drawn from the given ranges."""
    direction, axis = rng.normal(size=(2, 3))
    shift = direction / np.linalg.norm(direction) * rng.uniform(*position_cm) / 100
    turn = axis / np.linalg.norm(axis) * np.radians(rng.uniform(*rotation_deg))
    T_base_camera = se3.invert(T_camera_base)
    T_base_camera[:3, :3] = se3.from_rotvec(turn, np.zeros(3))[:3, :3] @ T_base_camera[:3, :3]
    T_base_camera[:3, 3] += shift
    return se3.invert(T_base_camera)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--trials", type=int, default=6, help="trials per cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nuisances", action="store_true", help="estimate lag and mask bias too")
    parser.add_argument("--no-restarts", action="store_true", help="a single fit each")
    add_robot_argument(parser)
    add_output_argument(parser)
    arguments = parser.parse_args()
    robot = benchmark_robot(arguments.urdf)
    caster = RayCaster(robot.surface)
    solve = fit_silhouettes if arguments.no_restarts else fit_silhouettes_with_restarts
    estimated = arguments.nuisances
    parameters = Parameters(lag=estimated, mask_bias=estimated)
    cells = [(row, column) for row in range(5) for column in range(5)] * arguments.trials
    for frames in arguments.frames:
        trials = []
        for number, (row, column) in enumerate(tqdm(cells, desc=f"{frames} frames")):
            seed = arguments.seed + number
            scene = random_scene(robot, caster, frames, seed)
            start = disturbed(
                scene.T_camera_base,
                POSITION_CM[row],
                ROTATION_DEG[column],
                np.random.default_rng([seed, frames]),
            )
            problem = SilhouetteProblem(robot.surface, scene.motion, scene.camera, scene.masks)
            began = time.perf_counter()
            fit = solve(problem, Estimate(start), parameters)
            seconds = time.perf_counter() - began
            degrees, metres = se3.difference(fit.estimate.T_camera_base, scene.T_camera_base)
            trials.append(
                Trial(row, column, seed, degrees, 100 * metres, float(fit.iou.mean()), seconds)
            )
        publish(
            f"Table 3 protocol, {frames} frame{'s' * (frames > 1)} ({robot.name})",
            _report(trials),
            arguments.out,
        )


def _report(trials: list[Trial]) -> list[str]:
    good = [trial for trial in trials if trial.converged]
    failed = [trial for trial in trials if not trial.converged]
    degrees = np.array([trial.rotation_deg for trial in good])
    cm = np.array([trial.position_cm for trial in good])
    iou = np.array([trial.iou for trial in good])
    seconds = np.array([trial.seconds for trial in trials])
    summary = (
        f"Converged: {len(good)} of {len(trials)} ({100 * len(good) / len(trials):.1f} %). Of "
        f"these: mean {degrees.mean():.4f} deg, {cm.mean():.4f} cm; worst {degrees.max():.4f} deg, "
        f"{cm.max():.4f} cm; lowest overlap {iou.min():.4f}. Median {np.median(seconds):.2f} s, "
        f"longest {seconds.max():.2f} s."
    )
    rows = []
    for row, (near, far) in enumerate(POSITION_CM):
        cells = [f"**{near:g}-{far:g} cm**"]
        for column in range(len(ROTATION_DEG)):
            cell = [t for t in trials if (t.row, t.column) == (row, column)]
            share = f"{sum(t.converged for t in cell)}/{len(cell)}"
            mean_deg = np.mean([t.rotation_deg for t in cell])
            mean_cm = np.mean([t.position_cm for t in cell])
            cells.append(f"{share} {mean_deg:.3f} {mean_cm:.3f}")
        rows.append(cells)
    header = ["shift \\ rotation", *(f"**{low:g}-{high:g} deg**" for low, high in ROTATION_DEG)]
    sections = [
        summary,
        "Each cell: converged trials, mean rotation error (deg), mean position error (cm).",
        markdown_table(header, rows),
    ]
    if failed:
        listed = [
            f"seed {t.seed} (row {t.row + 1}, column {t.column + 1}): {t.rotation_deg:.2f} deg, "
            f"{t.position_cm:.2f} cm, overlap {t.iou:.3f}"
            for t in failed
        ]
        sections.append("Not converged: " + "; ".join(listed) + ".")
    return sections


if __name__ == "__main__":
    main()
