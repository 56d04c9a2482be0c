# SPDX-License-Identifier: Apache-2.0
"""A monitor's findings in words."""

from __future__ import annotations

from collections.abc import Mapping

from calib_all_ros.quality.monitoring_state import State

UNSURE_BECAUSE = {
    "start": "not yet known whether the camera stands where the calibration says: the robot has "
    "not been seen in enough different poses",
    "dark": "cannot tell: the images are too dark",
    "bright": "cannot tell: the images are overexposed",
    "blurred": "cannot tell: the images are blurred (lens out of focus or dirty, or the camera "
    "shakes)",
    "out_of_view": "cannot tell: the robot is out of the camera's view",
    "not_found": "cannot tell: the robot is not seen where the joint states put it; if that lasts, "
    "is this the robot of the calibration, and does its description fit?",
}


def sentence_of(
    state: State,
    cause: str,
    figures: Mapping[str, float],
    believed: State,
    seen_s_ago: float | None,
) -> str:
    """Say what was found in one sentence.

    Args:
        state: The finding.
        cause: For `State.UNSURE` a key of `UNSURE_BECAUSE`; else details to insert.
        figures: As in `Observation.figures`.
        believed: What is believed of the camera.
        seen_s_ago: When the outline last supported that, in seconds before now.
    """
    if state is State.UNSURE:
        return UNSURE_BECAUSE[cause]
    if state is State.MOVED:
        return _moved(figures)
    if state is State.OUT_OF_STEP:
        return _out_of_step(cause, figures)
    if state is State.OCCLUDED:
        share = 100.0 * max(figures.get("visible_share", 0.0), 0.0)
        return (
            f"something hides the robot: {share:.0f} % of the usual outline is seen; "
            f"{_belief(believed, seen_s_ago)}"
        )
    if state is State.STILL:
        return f"the robot stands still; {_belief(believed, seen_s_ago)}"
    if state is State.OK:
        shift = figures.get("outline_shift_px")
        within = "" if shift is None else f" (the robot is within {shift:.1f} px of its place)"
        return f"the camera stands where the calibration says{within}"
    return cause


def _belief(believed: State, seen_s_ago: float | None) -> str:
    if believed is State.UNSURE or seen_s_ago is None:
        return "whether the camera stands where the calibration says is not known yet"
    when = "just now" if seen_s_ago < 1.0 else f"{seen_s_ago:.0f} s ago"
    if believed is State.OK:
        return f"the camera was in its place when last seen, {when}"
    return f"images and joint states were out of step when last seen, {when}"


def _moved(figures: Mapping[str, float]) -> str:
    if "outline_shift_px" in figures:
        far = f"the robot appears {figures['outline_shift_px']:.0f} px"
        if "outline_shift_mm" in figures:
            far += f" ({figures['outline_shift_mm']:.0f} mm at its distance)"
        far += " from where the calibration puts it"
    else:
        far = f"the background has shifted by {figures.get('background_shift_px', 0.0):.0f} px"
        if "background_rotation_deg" in figures:
            far += f" (a turn of about {figures['background_rotation_deg']:.1f} deg)"
    return f"the camera was moved: {far}; put it back or calibrate again"


def _out_of_step(cause: str, figures: Mapping[str, float]) -> str:
    if cause:
        return cause
    lag = figures.get("lag_ms", 0.0)
    return (
        f"the images are stamped {abs(lag):.0f} ms {'later' if lag > 0 else 'earlier'} than the "
        "calibration says relative to the joint states: check the clocks and the camera's driver"
    )
