# SPDX-License-Identifier: Apache-2.0
"""Beliefs about the camera from single findings: limits, confirmation and memory."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.monitoring.background import BackgroundFinding
from calib_all_ros.monitoring.outline import OutlineFinding
from calib_all_ros.monitoring.state import MonitorSettings, State

Reading = Literal["agrees", "displaced", "out_of_step", "unclear"]

# An outline vouches for a pose when it agrees with the edges better than by chance by so much, and
# by this share of what is usual.
MIN_SUPPORT = 0.08
CLEAR_SHARE = 0.4
# A displacement or a lag counts when the outline agrees better with it by this factor.
MIN_GAIN = 1.12
# The alarm stays until the displacement is below this share of the limit.
RELEASE_SHARE = 0.75
# Edges of blurred images may be off by pixels: only so many times the limit counts then.
BLURRED_FACTOR = 2.0
# Two displacements are the same one when they differ by less than this: working pixels, or this
# share of the larger.
SAME_PX = 1.0
SAME_SHARE = 0.35
# Images in a row for which the background must have moved, or have come back.
BACKGROUND_IMAGES = 3
RETURNED_SHARE = 0.5
# The outline refutes the background when it is displaced by less than this share of what the
# background's motion would do to it.
REFUTING_SHARE = 0.5
# It also does so when this share of it is seen where it was.
REFUTING_VISIBLE = 0.85
# How fast the usual support follows what is seen.
USUAL_RATE = 0.03
SUPPORT_IMAGES = 3


class Belief:
    """Weighs what the two witnesses say, in the order they say it.

    Attributes:
        camera: What is believed of the camera: OK, MOVED, OUT_OF_STEP or UNSURE.
        outline: The last finding of the outline that supports that, None where none does.
        background_moved: The background has moved since the start.
        background_refuted: It has, but the robot is seen where it was: something else moved.
    """

    def __init__(self, settings: MonitorSettings, limit_px: float) -> None:
        """Begin without any belief.

        Args:
            settings: Limits.
            limit_px: Displacement that counts as moved, working pixels.
        """
        self._settings = settings
        self._limit_px = limit_px
        self._readings: deque[tuple[Reading, OutlineFinding]] = deque(maxlen=settings.confirmations)
        self._shifts: deque[float] = deque(maxlen=BACKGROUND_IMAGES)
        self._supports: deque[float] = deque(maxlen=SUPPORT_IMAGES)
        self._usual_support: float | None = None
        self._believed_before = State.UNSURE
        self.camera = State.UNSURE
        self.outline: OutlineFinding | None = None
        self.background_moved = False
        self.background_refuted = False
        self._background_at_robot_px = 0.0

    @property
    def visible_share(self) -> float | None:
        """Support of the latest images over what is usual; None before that is known."""
        if self._usual_support is None or not self._supports:
            return None
        return float(np.median(self._supports)) / self._usual_support

    @property
    def background_moves(self) -> bool:
        """Whether the background seems to have moved, confirmed or not."""
        return bool(self._shifts) and self._shifts[-1] > self._limit_px

    @property
    def known_shift_px(self) -> NDArray[np.float64]:
        """(2,) displacement of the outline that is tolerated and therefore no sign of hiding."""
        if self.camera is not State.OK or self.outline is None:
            return np.zeros(2)
        return self.outline.mean_shift_px

    def update_support(self, support: float, *, in_motion: bool = True) -> None:
        """Take how well one image's outline is supported at the displacement that is known of.

        Args:
            support: See `OutlineImage`.
            in_motion: The robot stands elsewhere than before. One pose says nothing of what is
                usual.
        """
        self._supports.append(support)
        if in_motion and self._usual_support is not None and self.camera is State.OK:
            # Whatever hides the robot must not become usual soon; less light may, in time.
            rate = USUAL_RATE if support > self._usual_support else 0.2 * USUAL_RATE
            self._usual_support += rate * (support - self._usual_support)
            self._usual_support = max(self._usual_support, MIN_SUPPORT)

    def update_outline(self, finding: OutlineFinding, *, blurred: bool = False) -> None:
        """Take a fit to several images, the last of which may be blurred."""
        reading = self.read(finding, blurred=blurred)
        self._readings.append((reading, finding))
        confirmed = len(self._readings) == self._settings.confirmations and all(
            earlier == reading and self._same(other, finding) for earlier, other in self._readings
        )
        if reading == "agrees" and (confirmed or self.camera in (State.UNSURE, State.OK)):
            self._believe_in_place(finding)
        elif reading == "displaced" and confirmed:
            self._believe(State.MOVED, finding)
        elif reading == "out_of_step" and confirmed:
            self._believe(State.OUT_OF_STEP, finding)

    def update_background(self, finding: BackgroundFinding, at_robot_px: float) -> None:
        """Take one image's background.

        Args:
            finding: What it says.
            at_robot_px: How far its motion would displace the robot's outline, working pixels.
        """
        if finding.shift_px is None:
            self._shifts.clear()
            return
        self._shifts.append(finding.shift_px)
        self._background_at_robot_px = at_robot_px
        if len(self._shifts) < BACKGROUND_IMAGES:
            return
        low, high = min(self._shifts), max(self._shifts)
        steady = low > self._limit_px and high - low < self._same_px(high)
        if steady and not self.background_moved:
            visible = self.visible_share
            seen_in_place = visible is not None and visible > REFUTING_VISIBLE
            if seen_in_place and at_robot_px > self._limit_px and self.camera is State.OK:
                self.background_refuted = True
                return
            self.background_moved = True
            self._believed_before = self.camera
            self.camera = State.MOVED
            self.outline = None
            self._readings.clear()
        elif self.background_moved and high < RETURNED_SHARE * self._limit_px:
            self.background_moved = False
            self.camera = self._believed_before
            self._readings.clear()

    def background_renewed(self) -> None:
        """Forget what the background did: from now on it is compared with a new reference."""
        self.background_moved = False
        self.background_refuted = False
        self._shifts.clear()

    def read(self, finding: OutlineFinding, *, blurred: bool = False) -> Reading:
        """Return what a fit says by itself."""
        usual = self._usual_support or 0.0
        if finding.support < max(MIN_SUPPORT, CLEAR_SHARE * usual):
            return "unclear"
        better = finding.agreement > MIN_GAIN * finding.agreement_before
        limit_px = self._limit_px * (RELEASE_SHARE if self.camera is State.MOVED else 1.0)
        if blurred and finding.shift_px < BLURRED_FACTOR * limit_px:
            return "unclear"
        if finding.shift_px > limit_px:
            return "displaced" if better else "unclear"
        late = abs(1e3 * finding.estimate.lag_s) > self._settings.lag_limit_ms
        if not late:
            return "agrees"
        if better:
            return "out_of_step"
        # A robot that moves slowly looks much the same a moment earlier.
        return "unclear" if self.camera is State.OUT_OF_STEP else "agrees"

    def _believe(self, state: State, finding: OutlineFinding) -> None:
        self.camera = state
        self.outline = finding

    def _believe_in_place(self, finding: OutlineFinding) -> None:
        if self.background_moved:
            expected = self._background_at_robot_px
            if expected < self._limit_px or finding.shift_px > REFUTING_SHARE * expected:
                return
            self.background_refuted = True
        if np.linalg.norm(finding.mean_shift_px - self.known_shift_px) > SAME_PX:
            # They were measured at another displacement.
            self._supports.clear()
        self._believe(State.OK, finding)
        if self._usual_support is None:
            self._usual_support = finding.support

    def _same(self, first: OutlineFinding, second: OutlineFinding) -> bool:
        """Return whether two fits mean the same displacement and lag."""
        apart = float(np.linalg.norm(first.mean_shift_px - second.mean_shift_px))
        apart = max(apart, abs(first.shift_px - second.shift_px))
        lag_apart_ms = 1e3 * abs(first.estimate.lag_s - second.estimate.lag_s)
        return (
            apart < self._same_px(max(first.shift_px, second.shift_px))
            and lag_apart_ms < self._settings.lag_limit_ms
        )

    @staticmethod
    def _same_px(shift_px: float) -> float:
        return max(SAME_PX, SAME_SHARE * shift_px)
