# SPDX-License-Identifier: Apache-2.0
"""What tells the robot from other things that move, and does the start search find it?

At the true pose: how often a pixel changes between two images where the robot is in one of them, in
both, and in none; and how much of the change that pose explains. Then the best pose of the search,
seed by seed.

    python -m benchmarks.start_search
    python -m benchmarks.start_search ../shared/data/d6 ../shared/data/d7 --seeds 0 1 2 3
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import Case, load_case
from benchmarks.reporting import add_output_argument, markdown_table, publish
from benchmarks.scenes import SHARED_DATA
from calib_all_ros.geometry import se3
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.settings import FrameSettings, SearchEffort
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.search import CHANGE_FRAMES, search_change
from calib_all_ros.solving.small_pictures import (
    ChangeTable,
    PosedRobot,
    change_probability,
    shrink_images,
)

WIDTH_PX = 64
HEADER = (
    "recording", "changes where in one", "in both", "in none", "true pose explains",
    "found poses explain", "off by (deg)", "off by (cm)", "s",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="default: all of ../shared/data")
    parser.add_argument("--robots", type=Path, default=SHARED_DATA / "robots")
    parser.add_argument("--urdf", type=Path, help="where the recordings name no robot")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_output_argument(parser)
    arguments = parser.parse_args()
    folders = arguments.folders or [p.parent for p in sorted(SHARED_DATA.glob("d*/camera.json"))]
    rows = []
    for folder in folders:
        case = load_case(folder, arguments.robots, arguments.urdf)
        rows.append((case.name, *examined(case, arguments.seeds)))
    publish("Start search", [markdown_table(HEADER, rows)], arguments.out)


def examined(case: Case, seeds: list[int]) -> tuple[str, ...]:
    """Return the figures of a recording as texts, those of the seeds one after the other."""
    truth = case.truth
    if truth is None:
        raise SystemExit(f"{case.name} has no known camera")
    seen = prepare(replace(case.recording, masks=None), case.robot, FrameSettings())
    frames = seen.spread(CHANGE_FRAMES)
    motion, images = seen.motion.subset(frames), seen.images[frames]
    camera = seen.camera.scaled(WIDTH_PX / seen.camera.width)
    robot = PosedRobot(seen.surface.simplified(0.01), motion.link_poses())
    explained = robot.change_gain(
        truth[None], camera, ChangeTable.of(shrink_images(images, camera.width))
    )[0]
    gains, degrees, centimetres, seconds = [], [], [], []
    for seed in seeds:
        began = time.perf_counter()
        found, _ = search_change(images, seen.surface, motion, seen.camera, SearchEffort(), seed)
        seconds.append(f"{time.perf_counter() - began:.1f}")
        gains.append(f"{found[0].score:.2f}")
        angle, distance = se3.difference(found[0].T_camera_base, truth)
        degrees.append(f"{angle:.0f}")
        centimetres.append(f"{100 * distance:.0f}")
    rates = [f"{rate:.2f}" for rate in change_rates(seen, frames, truth)]
    told = [", ".join(values) for values in (gains, degrees, centimetres, seconds)]
    return (*rates, f"{explained:.2f}", *told)


def change_rates(
    seen: Observations, frames: NDArray[np.intp], truth: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return how often pixels change that the robot covers in one image of two, both, none."""
    camera = seen.camera.scaled(WIDTH_PX / seen.camera.width)
    pairs, change = change_probability(shrink_images(seen.images[frames], camera.width))
    poses = truth @ seen.motion.subset(frames).link_poses()
    covered = silhouettes(seen.surface.simplified(0.01), poses, camera)
    first, second = covered[pairs[:, 0]], covered[pairs[:, 1]]
    one, both, none = (float(change[where].mean()) for where in
                       (first ^ second, first & second, ~(first | second)))  # fmt: skip
    return one, both, none


if __name__ == "__main__":
    main()
