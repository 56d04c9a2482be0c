# SPDX-License-Identifier: Apache-2.0
"""Tables and JSON of evaluations in DREAM's format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.dream_evaluation import ACCEPTED, Evaluation, EvaluationOptions, Segment
from benchmarks.dream_metric import (
    AUC_THRESHOLD_M,
    MIN_KEYPOINTS_IN_FRAME,
    AddMetrics,
    add_metrics,
)
from benchmarks.reporting import markdown_table
from calib_all_ros.commands.report import finite

HEADER = (
    "sequence", "frames", "without pose", "ADD mean mm", "ADD median mm", "AUC@0.1 m",
    "accepted frames", "their ADD mean mm", "their AUC@0.1 m", "lowest ADD mm", "verdicts",
)  # fmt: skip
SEGMENT_HEADER = (
    "sequence", "frames", "ADD mean mm", "AUC@0.1 m", "off the annotation by mm", "deg",
    "annotated camera moves mm", "s", "verdict",
)  # fmt: skip
ALL = "all frames"
_SEGMENTS_FROM = {
    "images": "found in the images alone (background corners)",
    "annotations": "cut where the annotated camera moves; the annotations serve for nothing else",
    "none": "not looked for: one pose for each sequence",
}


def report_sections(
    evaluations: Sequence[Evaluation],
    failures: Mapping[str, str],
    options: EvaluationOptions,
) -> list[str]:
    """Return the report in Markdown.

    Args:
        evaluations: One for each sequence.
        failures: Sequences that could not be evaluated, and why.
        options: How they were made.
    """
    masks = "no masks" if options.masks is None else f"the masks in {options.masks}/"
    refinement = options.settings.refinement
    sections = [
        "One pose of the camera for each segment of a sequence, in which it stands still; methods "
        "that work on single images fit one for each image. Segments: "
        f"{_SEGMENTS_FROM[options.segments]}. Given: images, joint positions, URDF and "
        f"{masks}. Of {_every(options.every)}, {options.settings.frames.count} are fitted; "
        "every frame is evaluated. No time lag or joint offsets are estimated (the files hold no "
        f"stamps){'; a focal scale is' if refinement.focal_scale else ''}.",
        "ADD: mean distance between the annotated keypoints and their links' origins by our "
        "kinematics and pose. AUC: share of frames with an ADD of at most t, integrated over t up "
        f"to {AUC_THRESHOLD_M:g} m and divided by it, as DREAM's `pnp_metrics` does; frames "
        "without a pose count as missed, mean and median are of those with one. The share is of "
        f"frames with at least {MIN_KEYPOINTS_IN_FRAME} annotated keypoints in the image. Lowest "
        "ADD: what no pose can undercut, because annotation and kinematics differ by it.",
    ]
    if evaluations:
        rows = [_row(e.name, [e]) for e in evaluations]
        if len(evaluations) > 1:
            rows.append(_row(ALL, evaluations))
        sections.append(markdown_table(HEADER, rows))
        sections.append(_segment_table(evaluations))
        used = Counter(
            f"{choice.part} from {choice.used}"
            for e in evaluations
            for segment in e.segments
            for choice in segment.evidence
        )
        counts = ", ".join(f"{what} ({count} segments)" for what, count in used.items())
        sections.append(f"Evidence that was used: {counts or 'none'}.")
    reasons = [
        f"- {e.name}, {_span(e, segment)}, {segment.status}: {reason}"
        for e in evaluations
        for segment in e.segments
        if segment.status != ACCEPTED
        for reason in segment.reasons
    ]
    if reasons:
        sections += ["Why segments were not accepted:", "\n".join(reasons)]
    if failures:
        lines = [f"- {name}: {why}" for name, why in failures.items()]
        sections += ["Not evaluated:", "\n".join(lines)]
    return sections


def report_document(
    evaluations: Sequence[Evaluation], failures: Mapping[str, str], options: EvaluationOptions
) -> dict[str, Any]:
    """Return the same for JSON, with the ADD of every frame, metres."""
    return finite(
        {
            "options": {**asdict(options), "settings": options.settings.to_mapping()},
            "sequences": [_document(evaluation) for evaluation in evaluations],
            "all_frames": None if not evaluations else asdict(_pooled(evaluations)),
            "all_accepted_frames": None
            if not evaluations
            else asdict(_pooled(evaluations, accepted=True)),
            "not_evaluated": dict(failures),
        }
    )


def _document(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "name": evaluation.name,
        "unit": evaluation.unit,
        "lowest_add_m": evaluation.floor_m,
        **asdict(evaluation.metrics),
        "accepted": asdict(_pooled([evaluation], accepted=True)),
        "segments": [
            {
                **asdict(evaluation.segment_metrics(segment)),
                "first": evaluation.names[segment.frames[0]],
                "last": evaluation.names[segment.frames[-1]],
                "status": segment.status,
                "reasons": list(segment.reasons),
                "T_camera_base": None
                if segment.T_camera_base is None
                else segment.T_camera_base.tolist(),
                "rotation_deg": segment.rotation_deg,
                "position_mm": segment.position_mm,
                "annotated_motion_mm": segment.annotated_motion_mm,
                "seconds": segment.seconds,
                "evidence": [asdict(choice) for choice in segment.evidence],
            }
            for segment in evaluation.segments
        ],
        "add_m": dict(zip(evaluation.names, evaluation.add_m.tolist(), strict=True)),
    }


def _pooled(evaluations: Sequence[Evaluation], accepted: bool = False) -> AddMetrics:
    """Return the metrics of all frames of all sequences together, or of the accepted ones."""
    chosen = [e.accepted if accepted else np.ones(len(e.names), dtype=bool) for e in evaluations]
    return add_metrics(
        np.concatenate([e.add_m[c] for e, c in zip(evaluations, chosen, strict=True)]),
        np.concatenate([e.in_frame[c] for e, c in zip(evaluations, chosen, strict=True)]),
    )


def _row(name: str, evaluations: Sequence[Evaluation]) -> list[str]:
    metrics, good = _pooled(evaluations), _pooled(evaluations, accepted=True)
    counts = Counter(segment.status for e in evaluations for segment in e.segments)
    return [
        name,
        f"{metrics.frames}",
        f"{metrics.frames - metrics.found}",
        _mm(metrics.mean_m),
        _mm(metrics.median_m),
        _auc(metrics.auc),
        f"{good.frames}",
        _mm(good.mean_m),
        _auc(good.auc),
        _mm(max(e.floor_m for e in evaluations)),
        ", ".join(f"{number} {status}" for status, number in counts.items()) or "no segment",
    ]


def _segment_table(evaluations: Sequence[Evaluation]) -> str:
    rows = []
    for evaluation in evaluations:
        for segment in evaluation.segments:
            metrics = evaluation.segment_metrics(segment)
            off_mm, off_deg = segment.position_mm, segment.rotation_deg
            rows.append(
                [
                    evaluation.name,
                    _span(evaluation, segment),
                    _mm(metrics.mean_m),
                    _auc(metrics.auc),
                    "-" if off_mm is None else f"{off_mm:.1f}",
                    "-" if off_deg is None else f"{off_deg:.2f}",
                    f"{segment.annotated_motion_mm:.1f}",
                    f"{segment.seconds:.0f}",
                    segment.status,
                ]
            )
    return markdown_table(SEGMENT_HEADER, rows)


def _span(evaluation: Evaluation, segment: Segment) -> str:
    return f"{evaluation.names[segment.frames[0]]}-{evaluation.names[segment.frames[-1]]}"


def _every(every: int) -> str:
    return "its frames" if every == 1 else f"every {every}th of its frames"


def _mm(metres: float | None) -> str:
    return "-" if metres is None else f"{1e3 * metres:.2f}"


def _auc(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
