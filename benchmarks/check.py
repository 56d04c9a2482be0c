# SPDX-License-Identifier: Apache-2.0
"""Does `calib_all check` measure the error of extrinsics that are off by a known amount?

The true pose of each recording is shifted in a random direction and turned about a random axis,
and checked with exact masks, spoiled masks and images only. Poses that are off by at most 1 cm and
1 degree are judged by one reference, found from the worst of them; all others find their own.

    python -m benchmarks.check
    python -m benchmarks.check ../shared/data/d1 --evidence images --offsets 0,0 10,0.5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import Case, load_case
from benchmarks.mask_corruption import CORRUPTIONS, corrupt_masks
from benchmarks.reporting import add_output_argument, markdown_table, publish
from benchmarks.scenes import SHARED_DATA
from calib_all_ros.checking.check import find_reference, judge
from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import FrameList, Recording

EXACT, SPOILED, IMAGES = "exact masks", "spoiled masks", "images"
EVIDENCE = {"exact": EXACT, "spoiled": SPOILED, "images": IMAGES}
OFFSETS = (
    (0.0, 0.0),
    (1.0, 0.1),
    (2.0, 0.2),
    (5.0, 0.0),
    (10.0, 0.0),
    (0.0, 1.0),
    (30.0, 2.0),
    (100.0, 5.0),
)
NEAR_MM, NEAR_DEG = 10.0, 1.0
HEADER = (
    "off by mm",
    "off by deg",
    "estimated mm",
    "estimated deg",
    "estimate wrong by mm",
    "by deg",
    "contour px",
    "verdicts",
)


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        recording: Its name.
        evidence: What was compared with.
        offset: (mm, deg) that the pose was off by.
        estimated: (mm, deg) that it was said to be off by.
        missed: (mm, deg) from the true pose to the one that the check compared with.
        contour_px: Contour error of the pose.
        status: The verdict.
        searched: Whether the camera was searched.
        seconds: Time of finding the reference.
    """

    recording: str
    evidence: str
    offset: tuple[float, float]
    estimated: tuple[float, float]
    missed: tuple[float, float]
    contour_px: float
    status: str
    searched: bool
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="default: those with a known camera")
    parser.add_argument("--robots", type=Path, default=SHARED_DATA / "robots")
    parser.add_argument("--evidence", nargs="+", choices=list(EVIDENCE), default=list(EVIDENCE))
    parser.add_argument(
        "--offsets", type=_offset, nargs="+", default=list(OFFSETS), metavar="MM,DEG"
    )
    parser.add_argument("--seed", type=int, default=0, help="of directions and spoiled masks")
    add_output_argument(parser)
    arguments = parser.parse_args()
    folders = arguments.folders or [path.parent for path in SHARED_DATA.glob("*/camera.json")]
    rows = []
    for folder in sorted(folders):
        case = load_case(folder, arguments.robots)
        if case.truth is None:
            continue
        for evidence in arguments.evidence:
            recording = _recording(case, EVIDENCE[evidence], arguments.seed)
            for group in _groups(arguments.offsets):
                for row in _check(case, recording, EVIDENCE[evidence], group, arguments.seed):
                    rows.append(row)
                    print(_line(row), flush=True)
    sections = []
    for name in (EVIDENCE[evidence] for evidence in arguments.evidence):
        chosen = [row for row in rows if row.evidence == name]
        names = ", ".join(dict.fromkeys(row.recording for row in chosen))
        sections += [f"### {name} ({names})", _table(chosen)]
    publish("Error of given extrinsics, estimated by `calib_all check`", sections, arguments.out)


def displaced(
    T_camera_base: NDArray[np.float64], offset: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the pose of a camera that is (mm, deg) elsewhere."""
    direction, axis = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    T_base_camera = se3.invert(T_camera_base)
    turn = se3.from_rotvec(np.radians(offset[1]) * axis, np.zeros(3))
    return se3.invert(
        se3.make(
            turn[:3, :3] @ T_base_camera[:3, :3],
            T_base_camera[:3, 3] + offset[0] / 1e3 * direction,
        )
    )


def _recording(case: Case, evidence: str, seed: int) -> Recording:
    if evidence == IMAGES:
        return replace(case.recording, masks=None)
    if evidence == EXACT:
        return case.recording
    spoiled = corrupt_masks(case.masks(), CORRUPTIONS["mixed"], seed)
    return replace(case.recording, masks=FrameList(list(spoiled)))


def _groups(offsets: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return the offsets that share a reference, the worst one last."""
    near = sorted(o for o in offsets if o[0] <= NEAR_MM and o[1] <= NEAR_DEG)
    far = [[offset] for offset in offsets if offset not in near]
    return [near, *far] if near else far


def _check(
    case: Case,
    recording: Recording,
    evidence: str,
    offsets: Sequence[tuple[float, float]],
    seed: int,
) -> Iterator[Row]:
    truth = case.truth
    assert truth is not None
    poses = [displaced(truth, offset, np.random.default_rng(seed)) for offset in offsets]
    began = time.perf_counter()
    reference = find_reference(recording, case.robot, poses[-1])
    seconds = time.perf_counter() - began
    degrees, metres = se3.difference(reference.T_camera_base, truth)
    for offset, pose in zip(offsets, poses, strict=True):
        check = judge(reference, pose)
        yield Row(
            recording=case.name,
            evidence=evidence,
            offset=offset,
            estimated=(check.difference.position_mm, check.difference.rotation_deg),
            missed=(1e3 * metres, degrees),
            contour_px=check.contour_px,
            status=check.status,
            searched=reference.searched,
            seconds=seconds,
        )


def _line(row: Row) -> str:
    return (
        f"{row.recording} | {row.evidence} | off by {row.offset[0]:g} mm {row.offset[1]:g} deg | "
        f"estimated {row.estimated[0]:.2f} mm {row.estimated[1]:.3f} deg | "
        f"{row.contour_px:.2f} px | {row.status}{', searched' if row.searched else ''} | "
        f"{row.seconds:.1f} s"
    )


def _table(rows: Sequence[Row]) -> str:
    lines = []
    for offset in dict.fromkeys(row.offset for row in rows):
        chosen = [row for row in rows if row.offset == offset]
        statuses = [row.status for row in chosen]
        counted = [f"{statuses.count(name)} {name}" for name in dict.fromkeys(statuses)]
        lines.append(
            (
                f"{offset[0]:g}",
                f"{offset[1]:g}",
                _range([row.estimated[0] for row in chosen], 1),
                _range([row.estimated[1] for row in chosen], 2),
                f"{max(row.missed[0] for row in chosen):.1f}",
                f"{max(row.missed[1] for row in chosen):.2f}",
                _range([row.contour_px for row in chosen], 1),
                ", ".join(counted),
            )
        )
    return markdown_table(HEADER, lines)


def _range(values: Sequence[float], digits: int) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def _offset(text: str) -> tuple[float, float]:
    try:
        millimetres, degrees = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not MM,DEG, e.g. 10,0.5") from None
    return millimetres, degrees


if __name__ == "__main__":
    main()
