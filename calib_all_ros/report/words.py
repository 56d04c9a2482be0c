# SPDX-License-Identifier: Apache-2.0
"""A verdict, a cause and a figure in plain language."""

from __future__ import annotations

import math
from dataclasses import dataclass

from calib_all_ros.results.records import Cause, Severity, Status

HEADLINES: dict[Status, str] = {
    "accepted": "Accepted: you can use this pose",
    "warning": "Usable with care: read the warnings first",
    "rejected": "Rejected: do not use this pose",
}
MEANINGS: dict[Status, str] = {
    "accepted": (
        "The robot, drawn at this pose, agrees with the images, and none of the checks found "
        "anything that speaks against it."
    ),
    "warning": (
        "The pose agrees with the images, but something casts doubt on it. Decide by the warnings "
        "below whether it is good enough for you."
    ),
    "rejected": (
        "The images do not support this pose. It may be centimetres off although single pictures "
        "look right. Below is what was found, and what to change before you record again."
    ),
}
CAUSES: dict[Cause, str] = {
    "images_late": "Images and joint states are out of step",
    "wrong_intrinsics": "The camera's intrinsics do not fit",
    "wrong_robot_model": "The robot model is not this robot",
    "mirrored_joint": "A joint counts the other way round",
    "bad_masks": "The masks do not show the robot",
    "too_little_motion": "The robot moved too little",
    "degenerate_view": "This view leaves the pose undetermined",
    "camera_moved": "The camera moved",
    "moving_object": "Something else moved through the view",
    "light_changed": "The light or the exposure changed",
    "mark_not_on_link": "The mark does not move with its link",
    "no_agreement": "Different poses explain the images equally well",
    "unexplained": "The pose contradicts its images",
}
SEVERITIES: dict[Severity, str] = {
    "rejected": "speaks against the pose",
    "warning": "warning",
    "note": "note",
}

_UNITS = (
    ("_px", "pixels"),
    ("_mm", "millimetres"),
    ("_deg", "degrees"),
    ("_ms", "milliseconds"),
    ("_rad", "radians"),
    ("_m", "metres"),
    ("_s", "seconds"),
)
_SHARES = ("_share",)
_FIGURES = {
    "expected_position_mm": ("Expected error, position", "nine in ten poses are no further off"),
    "expected_rotation_deg": (
        "Expected error, rotation",
        "nine in ten poses are turned by no more",
    ),
    "leave_some_out_position_mm": (
        "Scatter, position",
        "of the camera when a quarter of the images is left out in turn",
    ),
    "leave_some_out_rotation_deg": (
        "Scatter, rotation",
        "of the camera when a quarter of the images is left out in turn",
    ),
    "held_out_frames": ("Held-out images", "which the pose was not fitted to but has to predict"),
    "held_out_contour_px": (
        "Held-out images, outline",
        "distance between the drawn and the seen robot; median",
    ),
    "held_out_outline_share": (
        "Held-out images, agreement",
        "share of the drawn outline that agrees with the images; median",
    ),
    "held_out_iou": ("Held-out images, overlap", "of the drawn and the seen robot; 1 is perfect"),
    "contour_median_px": (
        "Distance of the outlines",
        "between the drawn and the seen robot; median over the used images",
    ),
    "iou_median": (
        "Overlap, median",
        "of the drawn and the seen robot (intersection over union); 1 is perfect",
    ),
    "iou_worst": ("Overlap, worst image", "of those that were used; 1 is perfect"),
    "outline_share": (
        "Outline that agrees",
        "share of the drawn outline that runs along the masks'; median over the images",
    ),
    "edge_share": (
        "Outline with an edge",
        "share of the drawn outline near which the images have an edge",
    ),
    "edge_within_1px_share": (
        "Edges on the outline",
        "share of those edges that lie within a pixel of it",
    ),
    "change_overlap": (
        "Overlap with change",
        "how well the drawn robot covers what changes from image to image; 1 is perfect",
    ),
    "late_frames": ("Images out of step", "with the joint states"),
    "starts_tried": ("Independent starts", "that were refined"),
    "starts_agreeing": ("Starts that agree", "on this pose"),
    "rival_share": (
        "Best other pose",
        "its agreement with the images over that of this pose; 0 where there is none",
    ),
    "free_focal_scale": (
        "Focal length the images ask for",
        "as a factor on that of camera_info; 1 confirms it",
    ),
    "free_focal_scale_sigma": ("Its standard deviation", "of that factor"),
    "best_hypothesis_gain": (
        "What another model would explain",
        "share of what is left between outline and held-out images",
    ),
    "best_hypothesis_significance": ("Its significance", "in standard deviations"),
    "robot_image_share": ("The robot's share of the image", "mean over the images"),
    "robot_visible_share": ("The robot's visible share", "the rest lies outside of the image"),
    "robot_motion_m": ("How far the robot moved", "between the images"),
    "background_shift_px": ("Background, jumps", "how far it jumped when the camera was bumped"),
    "background_drift_px": ("Background, drift", "from the first to the last image"),
    "background_shake_px": ("Background, shaking", "root mean square, beside jumps and drift"),
    "light_spread": ("Brightness, spread", "standard deviation over the images; 0.1 is 10 %"),
    "light_local": ("Brightness, local change", "that no gain of the whole image explains"),
    "stranger_share": (
        "Something besides the robot",
        "mean share of the image that is neither background nor near the robot",
    ),
    "moving_apart_share": (
        "Something moving apart",
        "mean share of the image that moves apart from the largest moving thing",
    ),
    "drawn_robot_seen_share": (
        "Drawn robot that is seen",
        "share of it that differs from the background, as a robot there does",
    ),
}


@dataclass(frozen=True)
class FigureRow:
    """A quality figure for people.

    Attributes:
        label: What it is.
        value: With its unit in words.
        meaning: How to read it, "" where the name says all.
        name: As in ``calibration.yaml``.
    """

    label: str
    value: str
    meaning: str
    name: str


def figure_row(name: str, value: float) -> FigureRow:
    """Return a row for a figure of `Calibration.quality`, known here or not."""
    label, meaning = _FIGURES.get(name, (_label(name), ""))
    return FigureRow(label, _value(name, value), meaning, name)


def in_order(quality: dict[str, float]) -> list[str]:
    """Return the names of figures: those known here in their order, then the others."""
    known = [name for name in _FIGURES if name in quality]
    return [*known, *(name for name in quality if name not in _FIGURES)]


def sentence(text: str) -> str:
    """Return text that begins with a capital letter and ends with a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits and no exponent where it can be avoided."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if value == 0.0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude <= 6:
        return f"{value:.{digits}g}"
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def lag(milliseconds: float) -> str:
    """Return how far an image is out of step: stamped later than its light is positive."""
    rounded = round(abs(milliseconds), 1 if abs(milliseconds) < 10 else None)
    return f"{rounded:g} ms too {'late' if milliseconds >= 0 else 'early'}"


def _value(name: str, value: float) -> str:
    if name.endswith(_SHARES):
        return f"{number(100 * value)} %"
    for suffix, unit in _UNITS:
        if name.endswith(suffix):
            return f"{number(value)} {unit}"
    whole = math.isfinite(value) and value == round(value)
    return f"{value:.0f}" if whole and not name.endswith("scale") else f"{value:.4g}"


def _label(name: str) -> str:
    for suffix in (*_SHARES, *(suffix for suffix, _ in _UNITS)):
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            break
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
