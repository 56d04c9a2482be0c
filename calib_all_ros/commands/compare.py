# SPDX-License-Identifier: Apache-2.0
"""`calib_all compare`: how two results differ, and which one a recording speaks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calib_all_ros.checking.check import SIGNIFICANT, ExtrinsicsCheck, find_reference, judge
from calib_all_ros.commands.calibrated import intrinsics_difference, load_for, placed
from calib_all_ros.commands.check import (
    LABEL_WIDTH,
    FinishedCheck,
    check_document,
    compatibility_rows,
    difference_document,
    difference_rows,
    difference_text,
)
from calib_all_ros.commands.options import CommandError, settings_of
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import Rows, answer, finite, listed, table
from calib_all_ros.commands.result_options import CompareOptions
from calib_all_ros.errors import EXIT_OK, EXIT_REJECTED
from calib_all_ros.results.extrinsics_file import GivenExtrinsics, load_result, read_extrinsics
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.solving.pose_errors import (
    Compatibility,
    PoseDifference,
    compatibility,
    pose_difference,
)

# One pose is better when its outline is nearer by so much, and in so many of the images.
BETTER_PX = 0.1
BETTER_SHARE = 0.75


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two extrinsics of one camera compare.

    Attributes:
        first: The one.
        second: The other.
        difference: The first as seen from the second.
        weighed: Whether their covariances explain it, None where neither has one.
        notes: What does not compare and what was assumed, one sentence each.
        checks: Both on a recording, none without one.
    """

    first: GivenExtrinsics
    second: GivenExtrinsics
    difference: PoseDifference
    weighed: Compatibility | None
    notes: tuple[str, ...]
    checks: tuple[ExtrinsicsCheck, ...] = ()

    @property
    def contradictory(self) -> bool:
        """Whether chance does not explain the difference."""
        return self.weighed is not None and self.weighed.p_value < SIGNIFICANT

    @property
    def better(self) -> GivenExtrinsics | None:
        """The one that the recording speaks for, None where it does not matter or say."""
        if not self.checks or self.checks[0].status == "cannot say":
            return None
        margin = self.margin_px
        # Written such that a margin that is not a number decides nothing.
        if not abs(margin) >= BETTER_PX or not self.nearer_share >= BETTER_SHARE:
            return None
        return self.first if margin > 0.0 else self.second

    @property
    def margin_px(self) -> float:
        """By how much the first one's contour error is smaller than the second's."""
        return self.checks[1].contour_px - self.checks[0].contour_px

    @property
    def nearer_share(self) -> float:
        """In which share of the images the one with the smaller contour error is the nearer one."""
        used = self.checks[0].reference.solution.result.used
        first, second = (check.given.contour_px[used] for check in self.checks)
        nearer = first < second if self.margin_px > 0.0 else second < first
        return float(np.mean(nearer))


def run(options: CompareOptions, log: RunLog) -> int:
    """Compare two results and print the report; return the exit code.

    Raises:
        CalibAllError: The input cannot be used.
    """
    first, second = (_read(spec, options) for spec in (options.first, options.second))
    if options.recording is None:
        comparison = compare(first, second)
    else:
        with StageBars(quiet=options.silent) as bars:
            comparison = _compare_on(first, second, options, bars)
    answer(options, comparison_document(comparison), comparison_table(comparison))
    return EXIT_REJECTED if comparison.contradictory else EXIT_OK


def compare(first: GivenExtrinsics, second: GivenExtrinsics) -> Comparison:
    """Compare two extrinsics by themselves."""
    difference = pose_difference(first.T_camera_base, second.T_camera_base)
    notes = (*_frame_notes(first, second), *_notes(first, second))
    return Comparison(first, second, difference, _weighed(first, second, difference), notes)


def _compare_on(
    first: GivenExtrinsics, second: GivenExtrinsics, options: CompareOptions, bars: StageBars
) -> Comparison:
    """Compare two extrinsics, and check both against the pose that a recording asks for."""
    bars("read", 0.0)
    recording, robot = load_for(options, first)
    notes = list(_notes(first, second))
    scales = [given.calibration and given.calibration.focal_scale for given in (first, second)]
    if (scales[0] or 1.0) != (scales[1] or 1.0):
        raise CommandError(
            f"{first.source} and {second.source} were made with different focal scales, so that no "
            "one camera serves both: use calib_all check for one after the other"
        )
    poses = []
    for given in (first, second):
        seen, T_camera_base, assumed = placed(given, options, recording, robot)
        poses.append(T_camera_base)
        notes += assumed
    bars("read", 1.0)
    reference = find_reference(seen, robot, poses[0], settings_of(options), bars)
    checks = tuple(judge(reference, T) for T in poses)
    difference = pose_difference(poses[0], poses[1])
    return Comparison(
        first,
        second,
        difference,
        _weighed(first, second, difference),
        tuple(dict.fromkeys(notes)),
        checks,
    )


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return everything for JSON."""
    better = comparison.better
    document: dict[str, Any] = {
        "first": comparison.first.source,
        "second": comparison.second.source,
        "difference": {
            "meaning": "the first camera as seen from the second",
            **difference_document(comparison.difference, comparison.weighed),
        },
        "compatible": None if comparison.weighed is None else not comparison.contradictory,
        "notes": comparison.notes,
    }
    if comparison.checks:
        document["better"] = None if better is None else better.source
        document["margin_px"] = comparison.margin_px
        document["nearer_share"] = comparison.nearer_share
        document["checks"] = [
            check_document(FinishedCheck(check, given.source))
            for check, given in zip(
                comparison.checks, (comparison.first, comparison.second), strict=True
            )
        ]
    return finite(document)


def comparison_table(comparison: Comparison) -> str:
    """Return a table of some ten lines."""
    rows: Rows = [
        ("First", comparison.first.source),
        ("Second", comparison.second.source),
        ("Difference", difference_text(comparison.difference)),
    ]
    rows += difference_rows(comparison.difference)
    rows += compatibility_rows(comparison.weighed)
    rows.append(("Compatible", _compatible(comparison)))
    for name, check in zip(("First", "Second"), comparison.checks, strict=False):
        rows.append(
            (
                f"{name} checked",
                f"{check.status.upper()}, contour error {check.contour_px:.2f} px, off by "
                f"{difference_text(check.difference)}",
            )
        )
        rows += listed("", check.reasons, "- ")
    if comparison.checks:
        rows.append(("Better", _better(comparison)))
    rows += listed("Notes", comparison.notes, "- ")
    return table(rows, LABEL_WIDTH)


def _read(spec: str, options: CompareOptions) -> GivenExtrinsics:
    path = Path(spec)
    if path.is_file():
        return read_extrinsics(path, options.transform)
    return load_result(spec)


def _weighed(
    first: GivenExtrinsics, second: GivenExtrinsics, difference: PoseDifference
) -> Compatibility | None:
    covariances = [
        given.calibration.covariance.matrix
        for given in (first, second)
        if given.calibration is not None and given.calibration.covariance is not None
    ]
    if not covariances:
        return None
    return compatibility(difference, np.sum(covariances, axis=0))


def _frame_notes(first: GivenExtrinsics, second: GivenExtrinsics) -> tuple[str, ...]:
    notes = []
    for what, names in (
        ("base frame", (first.base_frame, second.base_frame)),
        ("camera frame", (first.camera_frame, second.camera_frame)),
    ):
        if None not in names and names[0] != names[1]:
            notes.append(
                f"the two speak of different frames, {what} '{names[0]}' and '{names[1]}': their "
                "difference means something only if these are two names of one frame"
            )
    return tuple(notes)


def _notes(first: GivenExtrinsics, second: GivenExtrinsics) -> tuple[str, ...]:
    notes = []
    a, b = first.calibration, second.calibration
    without = [
        given.source
        for given in (first, second)
        if given.calibration is None or given.calibration.covariance is None
    ]
    if len(without) == 1:
        notes.append(f"{without[0]} has no covariance, so that only the other's was counted")
    if a is None or b is None:
        return tuple(notes)
    hashes = a.robot.description_hash, b.robot.description_hash
    if all(hashes) and hashes[0] != hashes[1]:
        notes.append("the two were made with different robot descriptions or meshes")
    intrinsics = intrinsics_difference(a.camera, b.camera)
    if intrinsics:
        notes.append(f"the two were made with different intrinsics: {intrinsics}")
    if a.provenance.fingerprint and a.provenance.fingerprint == b.provenance.fingerprint:
        notes.append(
            "both were made from the same recording: that they agree proves less than agreement "
            "of two recordings"
        )
    for given in (first, second):
        if given.calibration is not None and given.calibration.verdict.status == "rejected":
            notes.append(f"{given.source} was rejected when it was made")
    return tuple(notes)


def _compatible(comparison: Comparison) -> str:
    if comparison.weighed is None:
        return "cannot say, neither has a covariance"
    if comparison.contradictory:
        return "no, the difference is larger than their uncertainties explain"
    return "yes, the difference is within their uncertainties"


def _better(comparison: Comparison) -> str:
    if comparison.checks[0].status == "cannot say":
        return "cannot say, the recording does not allow a judgement"
    better = comparison.better
    margin, share = abs(comparison.margin_px), comparison.nearer_share
    if better is None:
        return f"neither: contour errors differ by {margin:.2f} px"
    return (
        f"{better.source}: its outline is nearer by {margin:.2f} px, and in {100 * share:.0f} % of "
        "the images"
    )
