# SPDX-License-Identifier: Apache-2.0
"""Whether the motion so far is enough to calibrate from, and what it lacks.

The goals are measured: 60 cuts of four path-traced recordings (the first second, four poses, all
of it) and 36 simulated motions of three arms (small ones, those of a single joint) were calibrated
from their images. How far the end-effector had travelled told most: below a tenth of what its
joints allow, 6 of 16 cameras were not found, and the others 0.7 to 6 mm off; from 0.3 on and with
16 poses, 29 of 30 were within 2.7 mm and 0.13 deg of the truth (not counting one recording that
never gets better than 4 mm). A wrist that turns on the spot is worth nothing; a single joint that
swings the whole arm is worth much. The turns are asked for because they alone tell where on its
link a mark is. Exposures of up to 150 ms at full speed did no harm: blur counts where the whole
image is blurred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calib_all_ros.collection.finding import Finding
from calib_all_ros.collection.image_coverage import ImageCoverage, ImageFigures, ImageLook
from calib_all_ros.collection.motion_coverage import MotionCoverage, MotionFigures
from calib_all_ros.robot.kinematics import Kinematics

_MANY_BLURRED = 0.4
_FEWEST_JUDGED = 10
# Of what a robot can do, nobody should have to do more than this.
_EASILY = 0.4
_ROUNDING_DEG = 0.1


@dataclass(frozen=True)
class CoverageGoals:
    """What a recording has to reach.

    Attributes:
        poses: Sharp images in poses that differ by 0.1 rad in some joint.
        travel_share: Largest distance between two positions of the end-effector, as a share of
            what its joints allow.
        turn_deg: Largest angle between two orientations of the end-effector, degrees.
        second_turn_deg: How far the end-effector turns about axes across its main one, degrees.
        changed_share: Share of the image that the motion changes.
    """

    poses: int = 16
    travel_share: float = 0.3
    turn_deg: float = 60.0
    second_turn_deg: float = 20.0
    changed_share: float = 0.04


class Coverage:
    """Collects images and poses of a recording, and compares them with the goals."""

    def __init__(self, goals: CoverageGoals, kinematics: Kinematics | None = None) -> None:
        """Begin; without kinematics the end-effector cannot be judged."""
        self._goals = goals
        self._images = ImageCoverage()
        self._motion = MotionCoverage(kinematics)

    @property
    def kinematics(self) -> Kinematics | None:
        """The robot; may be set later."""
        return self._motion.kinematics

    @kinematics.setter
    def kinematics(self, kinematics: Kinematics) -> None:
        self._motion.kinematics = kinematics

    def add_image(self, look: ImageLook) -> bool:
        """Add an image and return whether it is sharp."""
        return self._images.add(look)

    def add_pose(self, pose: Mapping[str, float]) -> None:
        """Add the pose, by joint names, in which a sharp image was taken."""
        if pose:
            self._motion.add(pose)

    def figures(self) -> tuple[MotionFigures, ImageFigures]:
        """Return what there is so far."""
        return self._motion.figures(), self._images.figures()

    def findings(self) -> list[Finding]:
        """Return what is missing, as sentences to whoever moves the robot."""
        motion, images = self.figures()
        candidates = (
            self._blur(images),
            self._poses(motion),
            self._travel(motion),
            self._turn(motion),
            self._image(motion, images),
        )
        return [finding for finding in candidates if finding is not None]

    def _blur(self, images: ImageFigures) -> Finding | None:
        if images.inspected < _FEWEST_JUDGED:
            return None
        if images.blurred < _MANY_BLURRED * images.inspected:
            return None
        return Finding(
            "hint",
            "sharpness",
            f"{images.blurred} of the {images.inspected} images looked at are blurred: fix the "
            "camera and its focus, shorten its exposure, and move slower",
        )

    def _poses(self, motion: MotionFigures) -> Finding | None:
        if motion.poses >= self._goals.poses:
            return None
        return Finding(
            "hint",
            "poses",
            f"{motion.poses} different poses are recorded, {self._goals.poses} are wanted: keep "
            "moving to new ones",
        )

    def _travel(self, motion: MotionFigures) -> Finding | None:
        if motion.done is None or motion.possible is None:
            return None
        wanted_m = self._goals.travel_share * motion.possible.travel_m
        if motion.done.travel_m >= wanted_m:
            return None
        return Finding(
            "hint",
            "travel",
            f"move the arm farther: the end-effector ({motion.done.link}) has travelled over "
            f"{100 * motion.done.travel_m:.0f} cm, {100 * wanted_m:.0f} cm are wanted",
        )

    def _turn(self, motion: MotionFigures) -> Finding | None:
        if motion.done is None or motion.possible is None:
            return None
        # Not every robot can turn its end-effector about two axes, or at all.
        wanted_deg = min(self._goals.turn_deg, _EASILY * motion.possible.turn_deg)
        if motion.done.turn_deg < wanted_deg - _ROUNDING_DEG:
            return Finding(
                "hint",
                "turn",
                f"rotate the wrist more: the end-effector ({motion.done.link}) has turned by "
                f"{motion.done.turn_deg:.0f} deg, {wanted_deg:.0f} are wanted",
            )
        wanted_deg = min(self._goals.second_turn_deg, _EASILY * motion.possible.second_turn_deg)
        if motion.done.second_turn_deg < wanted_deg - _ROUNDING_DEG:
            return Finding(
                "hint",
                "turn",
                "tilt the wrist about another axis, too: the end-effector "
                f"({motion.done.link}) has turned by {motion.done.second_turn_deg:.0f} deg across "
                f"its main axis, {wanted_deg:.0f} are wanted",
            )
        return None

    def _image(self, motion: MotionFigures, images: ImageFigures) -> Finding | None:
        if images.changed_share >= self._goals.changed_share or motion.poses < 2:
            return None
        return Finding(
            "hint",
            "image",
            f"move to other parts of the image: {100 * images.changed_share:.0f} % of it have "
            f"changed, {100 * self._goals.changed_share:.0f} % are wanted; if the robot is hardly "
            "in view, turn the camera towards it",
        )
