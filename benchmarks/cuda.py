# SPDX-License-Identifier: Apache-2.0
"""What does a CUDA GPU bring: the same silhouettes, how much faster, and the paper's 10,000 steps.

Compares nvdiffrast with the CPU rasteriser, times the paper's descent on the mask loss against the
fit to outlines from the same starts, and the foundation models on CPU and GPU. With nvdiffrast
built, less than ten minutes.

    python -m benchmarks.cuda
    python -m benchmarks.cuda --device cpu    # only tries the script, nvdiffrast emulated
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.models import add_model_arguments, model_times
from benchmarks.reporting import add_output_argument, markdown_table, publish
from benchmarks.scenes import Scene, add_robot_argument, benchmark_robot, random_scene, vga_camera
from benchmarks.table3 import disturbed
from calib_all_ros.geometry import se3
from calib_all_ros.models.checkpoints import checkpoint_folder
from calib_all_ros.models.libraries import ModelUnavailableError, require
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.rendering.rasteriser import render
from calib_all_ros.robot.description import Robot, demo_urdf_path
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.settings import AdamSettings
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.solving.adam import DETAIL_M, fit_adam
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_loss import NvdiffrastMaskLoss, RasterisedMaskLoss
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem, fit_silhouettes

Result = TypeVar("Result")
PARTS = ("silhouettes", "adam", "models")
EMULATION = Path(__file__).resolve().parents[1] / "test" / "nvdiffrast_emulation.py"
PAPER_STEPS = 10_000
# The published code's own numbers: one frame, these steps, this rate and weight decay.
PUBLISHED = AdamSettings(steps=3_000, learning_rate=1e-4, weight_decay=1e-6)
# The refinement starts as far off as the paper's coarse stage leaves it on DREAM.
START_CM = (5.0, 6.0)
START_DEG = (3.5, 4.5)
POSE_ONLY = Parameters(lag=False, mask_bias=False)


@dataclass(frozen=True)
class Effort:
    """How much to do.

    Attributes:
        image_scale: Size of the images over 640x480.
        detail_m: Details of the robot smaller than this are left out beforehand.
        views: Pictures to compare.
        frame_counts: Numbers of frames that are fitted together.
        steps: Of the descent on the GPU.
        cpu_steps: Of the descent on the CPU, whose time is extrapolated.
        rates: Learning rates to try.
        repeats: How often pictures are timed, after once that does not count.
    """

    image_scale: float
    detail_m: float
    views: int
    frame_counts: tuple[int, ...]
    steps: int
    cpu_steps: int
    rates: tuple[float, ...]
    repeats: int


FULL = Effort(1.0, 0.0, 16, (1, 5), PAPER_STEPS, 30, (1e-3, 1e-4), 7)
TRIAL = Effort(0.125, 0.08, 2, (1,), 3, 3, (1e-3,), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 ...; cpu tries the script")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--steps", type=int, help="of the descent on the GPU")
    add_robot_argument(parser)
    add_model_arguments(parser)
    add_output_argument(parser)
    arguments = parser.parse_args()
    device = arguments.device
    emulated = device == "cpu"
    effort = TRIAL if emulated else FULL
    effort = replace(effort, steps=arguments.steps or effort.steps)
    # The emulation takes seconds for a mesh of thousands of faces.
    robot = benchmark_robot(arguments.urdf or (demo_urdf_path() if emulated else None))
    surface = robot.surface.simplified(effort.detail_m)
    caster = RayCaster(surface)
    parts: dict[str, Callable[[], list[str]]] = {
        "silhouettes": lambda: silhouettes(drawn_by(device), robot, surface, caster, effort),
        "adam": lambda: descents(drawn_by(device), robot, surface, caster, effort),
        "models": partial(
            model_times,
            list(dict.fromkeys(("cpu", device))),
            checkpoint_folder(arguments.checkpoints),
            arguments.models,
        ),
    }
    for part in arguments.parts:
        try:
            sections = [hardware(device), *parts[part]()]
        except ModelUnavailableError as error:
            sections = [f"Skipped: {error}"]
        publish(f"CUDA: {part} ({robot.name})", sections, arguments.out)


def drawn_by(device: str) -> Nvdiffrast:
    """Return nvdiffrast on a GPU; on the CPU the emulation that the tests use."""
    if device == "cpu":
        spec = importlib.util.spec_from_file_location("nvdiffrast.torch", EMULATION)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules["nvdiffrast.torch"] = module
    return Nvdiffrast(device)


def hardware(device: str) -> str:
    """Return what the numbers of the GPU were measured with."""
    torch = require("torch", "cuda")
    if device == "cpu":
        return f"No GPU; nvdiffrast is emulated, its times mean nothing. torch {torch.__version__}."
    if not torch.cuda.is_available():
        return f"No GPU. torch {torch.__version__}."
    versions = [f"torch {torch.__version__}", f"CUDA {torch.version.cuda}"]
    try:
        versions.append(f"nvdiffrast {getattr(require('nvdiffrast', 'cuda'), '__version__', '?')}")
    except ModelUnavailableError:
        versions.append("no nvdiffrast")
    return f"{torch.cuda.get_device_name(device)}, {', '.join(versions)}."


def silhouettes(
    renderer: Nvdiffrast, robot: Robot, surface: RobotSurface, caster: RayCaster, effort: Effort
) -> list[str]:
    """Compare pictures by nvdiffrast with those by the CPU rasteriser."""
    camera = vga_camera().scaled(effort.image_scale)
    scene = random_scene(robot, caster, effort.views, seed=1, camera=camera)
    T = scene.T_camera_base @ scene.motion.link_poses()
    links, depth = renderer(surface, T, camera)
    expected, expected_depth = render(surface, T, camera)
    iou = intersection_over_union(links >= 0, expected >= 0)
    both = (links >= 0) & (expected >= 0)
    problem = SilhouetteProblem(surface, scene.motion, camera, scene.masks)
    at = Estimate(scene.T_camera_base)
    smooth = NvdiffrastMaskLoss(problem, at, renderer).coverage(scene.T_camera_base)
    exact = RasterisedMaskLoss(problem, at).coverage(scene.T_camera_base)
    outline = (exact > 0) & (exact < 1)
    blended = outline & (smooth > 0) & (smooth < 1)
    difference = (smooth - exact)[blended]
    facts = (
        ("overlap of the silhouettes, mean", f"{iou.mean():.6f}"),
        ("overlap of the silhouettes, worst of " + str(len(T)), f"{iou.min():.6f}"),
        (
            "pixels that differ, of those on the outline",
            f"{100 * np.sum((links >= 0) != (expected >= 0)) / max(outline.sum(), 1):.2f} %",
        ),
        ("pixels that show another link", f"{100 * np.mean(links[both] != expected[both]):.3f} %"),
        ("edge offset by the coverage, mean, px", f"{difference.mean():.5f}"),
        ("edge offset by the coverage, RMS, px", f"{np.sqrt((difference**2).mean()):.5f}"),
        ("outline that nvdiffrast blends", f"{100 * blended.sum() / max(outline.sum(), 1):.1f} %"),
        ("depth, median difference, mm", f"{1e3 * _median_gap(depth, expected_depth, both):.4f}"),
    )
    batches = []
    for count in sorted({1, min(8, len(T)), len(T)}):
        chosen = T[:count]
        times = [
            1e3
            * _median_s(
                partial(draw, surface, chosen, camera, want_depth=want_depth), effort.repeats
            )
            / count
            for draw in (render, renderer)
            for want_depth in (True, False)
        ]
        batches.append((str(count), *(f"{ms:.2f}" for ms in times)))
    header = ("frames", "CPU, ms each", "no depth", "nvdiffrast, ms each", "no depth")
    return [
        f"{camera.width}x{camera.height}, {len(surface.faces)} faces, from poses in memory to "
        "pictures in memory.",
        markdown_table(("nvdiffrast against the CPU rasteriser", ""), facts),
        markdown_table(header, batches),
    ]


def descents(
    renderer: Nvdiffrast, robot: Robot, surface: RobotSurface, caster: RayCaster, effort: Effort
) -> list[str]:
    """Compare fits to the same masks from the same start."""
    camera = vga_camera().scaled(effort.image_scale)
    rows = []
    for frames in effort.frame_counts:
        scene = random_scene(robot, caster, frames, seed=1, camera=camera)
        problem = SilhouetteProblem(surface, scene.motion, camera, scene.masks)
        on_gpu = replace(problem, renderer=renderer)
        start = Estimate(
            disturbed(scene.T_camera_base, START_CM, START_DEG, np.random.default_rng(0))
        )
        rows.append((str(frames), "start", "", *_errors(start, scene), "", ""))
        for name, drawn in (("CPU", problem), ("nvdiffrast", on_gpu)):
            fit_silhouettes(drawn, start, POSE_ONLY)  # compiles
            seconds, fit = _timed(partial(fit_silhouettes, drawn, start, POSE_ONLY))
            errors = _errors(fit.estimate, scene)
            rows.append((str(frames), "outlines", name, *errors, f"{seconds:.2f}", ""))
        fit_adam(on_gpu, start, AdamSettings(steps=1))
        settings = [AdamSettings(effort.steps, rate) for rate in effort.rates]
        if frames == 1:
            settings.append(replace(PUBLISHED, steps=min(PUBLISHED.steps, effort.steps)))
        for chosen in settings:
            seconds, descent = _timed(partial(fit_adam, on_gpu, start, chosen))
            errors = _errors(descent.estimate, scene)
            each = f"{1e3 * seconds / (chosen.steps + 1):.2f}"
            name = _name(chosen)
            rows.append((str(frames), name, "nvdiffrast", *errors, f"{seconds:.1f}", each))
            print(" | ".join(rows[-1]), flush=True)
        fit_adam(problem, start, AdamSettings(steps=1))
        few = AdamSettings(steps=effort.cpu_steps)
        seconds, _ = _timed(partial(fit_adam, problem, start, few))
        each_s = seconds / (few.steps + 1)
        total = f"{PAPER_STEPS * each_s:.0f}, extrapolated"
        name = f"Adam, {PAPER_STEPS} steps"
        rows.append((str(frames), name, "CPU", "", "", total, f"{1e3 * each_s:.2f}"))
    header = ("frames", "fit", "drawn by", "rotation deg", "position cm", "s", "ms a step")
    return [
        f"{camera.width}x{camera.height}, {len(surface.faces)} faces (Adam: "
        f"{len(surface.simplified(DETAIL_M).faces)}), masks by ray casting. Adam keeps its best "
        "iterate; rates in radians and metres.",
        markdown_table(header, rows),
    ]


def _name(settings: AdamSettings) -> str:
    decay = f", weight decay {settings.weight_decay:g}" if settings.weight_decay else ""
    return f"Adam, {settings.steps} steps, rate {settings.learning_rate:g}{decay}"


def _errors(estimate: Estimate, scene: Scene) -> tuple[str, str]:
    degrees, metres = se3.difference(estimate.T_camera_base, scene.T_camera_base)
    return f"{degrees:.4f}", f"{100 * metres:.4f}"


def _median_gap(
    depth: NDArray[np.float32], expected: NDArray[np.float32], where: NDArray[np.bool_]
) -> float:
    return float(np.median(np.abs(depth[where] - expected[where])))


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def _median_s(work: Callable[[], object], repeats: int) -> float:
    work()
    return float(np.median([_timed(work)[0] for _ in range(repeats)]))


if __name__ == "__main__":
    main()
