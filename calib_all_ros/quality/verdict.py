# SPDX-License-Identifier: Apache-2.0
"""Whether a pose can be vouched for, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from calib_all_ros.results.records import Finding, Status, Verdict

_GRAVITY = {"rejected": 0, "warning": 1, "note": 2}
# A camera that moves shows in the background, whatever else; what else seems wrong may follow.
_CONSEQUENCE = {
    "camera_moved": -1,
    "too_little_motion": 1,
    "degenerate_view": 1,
    "no_agreement": 2,
    "unexplained": 3,
}


def verdict_of(findings: Iterable[Finding], warnings: Sequence[str] = ()) -> Verdict:
    """Sum findings up.

    Among findings equally grave, a moved camera comes first; what explains a misfit comes before
    what follows from it (an uncertain pose) and before the misfit itself; then the stronger
    finding comes first.

    Args:
        findings: What is wrong, in any order.
        warnings: What is already known to be wrong with the recording, one sentence each.
    """
    ordered = sorted(
        findings,
        key=lambda f: (_GRAVITY[f.severity], _CONSEQUENCE.get(f.cause, 0), -f.strength),
    )
    status: Status = "accepted"
    if any(finding.severity == "rejected" for finding in ordered):
        status = "rejected"
    elif warnings or any(finding.severity == "warning" for finding in ordered):
        status = "warning"
    reasons = tuple(finding.sentence for finding in ordered if finding.severity != "note")
    return Verdict(status, (*reasons, *warnings), tuple(ordered))
