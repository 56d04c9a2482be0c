# SPDX-License-Identifier: Apache-2.0
"""The parts of a calibration result: verdict, quality of each image, uncertainty, provenance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.results.atomic_file import ResultError

Status = Literal["accepted", "warning", "rejected"]
Severity = Literal["rejected", "warning", "note"]
Cause = Literal[
    "images_late",
    "wrong_intrinsics",
    "wrong_robot_model",
    "mirrored_joint",
    "bad_masks",
    "too_little_motion",
    "degenerate_view",
    "camera_moved",
    "moving_object",
    "light_changed",
    "mark_not_on_link",
    "no_agreement",
    "unexplained",
]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a calibration, and what to do about it.

    Attributes:
        cause: What is wrong.
        severity: "rejected": the pose cannot be used; "warning": read it; "note": no doubt is cast
            on the pose.
        evidence: What shows it, one sentence with numbers and without a full stop.
        advice: What to do, one sentence without a full stop.
        strength: How far over its limit, 1 at the limit; orders the findings of a severity.
    """

    cause: Cause
    severity: Severity
    evidence: str
    advice: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        for value, kind in ((self.cause, Cause), (self.severity, Severity)):
            if value not in get_args(kind):
                raise ResultError(f"unknown '{value}'; it is one of: {', '.join(get_args(kind))}")

    @property
    def sentence(self) -> str:
        """Evidence and advice."""
        return f"{self.evidence}: {self.advice}"


@dataclass(frozen=True)
class Verdict:
    """Whether the pose may be used.

    Attributes:
        status: "accepted"; "warning" (usable, read the reasons); "rejected" (do not use).
        reasons: one sentence each, the gravest first; may be empty when accepted.
        findings: what the reasons come from, the gravest and likeliest first, notes included.
    """

    status: Status
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ResultError(
                f"unknown verdict '{self.status}'; it is one of: {', '.join(get_args(Status))}"
            )
        if self.status != "accepted" and not self.reasons:
            raise ResultError(f"the verdict '{self.status}' needs a reason")

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What is probably wrong, the likeliest first, each once; notes are left out."""
        doubts = (finding.cause for finding in self.findings if finding.severity != "note")
        return tuple(dict.fromkeys(doubts))


@dataclass(frozen=True)
class FrameQuality:
    """How well the robot, drawn with the final pose, matches one image.

    Attributes:
        index: number of the image in the recording, from 0.
        stamp_ns: its header stamp.
        iou: intersection over union of the rendered and the seen robot, None if not measured.
        contour_px: median distance of the two outlines, None if not measured.
        lag_ms: how much later than the light this image was stamped, None if not estimated.
        used: whether the image took part in the solution.
    """

    index: int
    stamp_ns: int
    iou: float | None = None
    contour_px: float | None = None
    lag_ms: float | None = None
    used: bool = True


@dataclass(frozen=True, eq=False)
class Covariance:
    """How uncertain the pose is, laid out as in ``geometry_msgs/PoseWithCovariance``.

    Attributes:
        matrix: (6, 6), in m^2, m rad and rad^2.
        order: what each row and column is.
        frame: of which pose, in which frame.
    """

    matrix: NDArray[np.float64]
    order: tuple[str, ...] = ("x_m", "y_m", "z_m", "rx_rad", "ry_rad", "rz_rad")
    frame: str = (
        "error of T_base_camera: displacement of the camera along the base frame's axes, and small "
        "rotation about axes parallel to them through the camera"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", np.asarray(self.matrix, dtype=np.float64))
        if self.matrix.shape != (6, 6) or not np.isfinite(self.matrix).all():
            raise ResultError("the covariance is not a finite 6x6 matrix")


@dataclass(frozen=True)
class RobotRecord:
    """Which robot the pose refers to.

    Attributes:
        name: as in its URDF.
        base_frame: link that ``T_camera_base`` speaks of.
        eef_link: link that carries the mark, None without a mark.
        description_hash: of the URDF and meshes, to notice that the robot's model changed.
    """

    name: str
    base_frame: str
    eef_link: str | None = None
    description_hash: str = ""


@dataclass(frozen=True)
class EvidenceChoice:
    """Which of several ways to come by a piece of evidence was taken.

    Attributes:
        part: "mark", "track", "masks" or "pose".
        used: What was taken, such as "given", "dinov2", "images" or "none".
        why: One sentence without a full stop.
    """

    part: str
    used: str
    why: str

    def __str__(self) -> str:
        return f"{self.part}: {self.used} ({self.why})"


@dataclass(frozen=True)
class Provenance:
    """Where a calibration came from: enough to repeat it.

    Attributes:
        recording: path or topic names, as the user gave them.
        fingerprint: of the recording's content.
        package_version: of calib_all_ros.
        created: date and time, ISO 8601 with time zone.
        frames_used: numbers of the images in the recording.
        settings: every setting, nested.
        stage_times_s: how long each stage took.
        evidence: what the pose rests on, and why on that.
    """

    recording: str
    fingerprint: str
    package_version: str
    created: str = ""
    frames_used: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    stage_times_s: dict[str, float] = field(default_factory=dict)
    evidence: tuple[EvidenceChoice, ...] = ()
