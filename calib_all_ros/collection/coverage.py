# SPDX-License-Identifier: Apache-2.0
"""Coverage of a motion: whether it is enough to calibrate from, and what it lacks.

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

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.collection.finding import RecordingIssue
from calib_all_ros.recording.frame_selection import sharpness
from calib_all_ros.recording.recording import RgbImage
from calib_all_ros.robot.kinematics import Kinematics

_WIDTH_PX = 96
# Noise and flicker stay below this at the reduced size, an arm before a background rarely does.
_CHANGED = 25.0
_KEPT = 60
_BLURRED = 0.5
# Of many images that are blurred, the sharpest tell what is possible.
_USUAL = 0.9
# Poses nearer to one another than this in every joint show a solver the same.
_DISTINCT = 0.1
# More would say nothing new, and pairs of them are compared.
_MOST_POSES = 100
# A finger has fewer joints than this, an arm more.
_FEWEST_ARM_JOINTS = 3
_SAMPLES = 200
_LARGEST_SWING = np.pi
_MANY_BLURRED = 0.4
_FEWEST_JUDGED = 10
# Of what a robot can do, nobody should have to do more than this.
_EASILY = 0.4
_ROUNDING_DEG = 0.1


@dataclass(frozen=True)
class ImageFigures:
    """What the images so far amount to.

    Attributes:
        inspected: How many were looked at.
        blurred: How many of them have less than half the sharpness of the best.
        changed_share: Share of the pixels that the motion has changed.
    """

    inspected: int
    blurred: int
    changed_share: float


@dataclass(frozen=True, eq=False)
class ImageLook:
    """What is kept of one image.

    Attributes:
        size: Width and height in pixels.
        sharpness: See `recording.selection.sharpness`.
        small: (h, w) grey, reduced.
    """

    size: tuple[int, int]
    sharpness: float
    small: NDArray[np.float32]


def look_at(image: RgbImage) -> ImageLook:
    """Return what is worth knowing of an image, RGB uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    size = _WIDTH_PX, max(1, round(_WIDTH_PX * height / width))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    return ImageLook((width, height), sharpness(image), grey)


class ImageCoverage:
    """Collects what images show."""

    def __init__(self) -> None:
        """Begin without images."""
        self._size: tuple[int, int] | None = None
        self._inspected = 0
        self._blurred = 0
        self._sharpness: deque[float] = deque(maxlen=_KEPT)
        self._low: NDArray[np.float32] | None = None
        self._high: NDArray[np.float32] | None = None

    def add(self, look: ImageLook) -> bool:
        """Add an image and return whether it is sharp."""
        if look.size != self._size:
            self._size = look.size
            self._low = self._high = None
        self._inspected += 1
        self._sharpness.append(look.sharpness)
        blurred = look.sharpness < _BLURRED * float(np.quantile(self._sharpness, _USUAL))
        self._blurred += blurred
        if not blurred:
            small = look.small
            self._low = small if self._low is None else np.minimum(self._low, small)
            self._high = small if self._high is None else np.maximum(self._high, small)
        return not blurred

    def figures(self) -> ImageFigures:
        """Return what the images amount to."""
        if self._low is None or self._high is None:
            return ImageFigures(self._inspected, self._blurred, 0.0)
        changed = self._high - self._low > _CHANGED
        return ImageFigures(self._inspected, self._blurred, float(changed.mean()))


@dataclass(frozen=True)
class EndEffectorMotion:
    """How an end-effector has moved.

    Attributes:
        link: Its link: the last one of the arm, before the fingers.
        turn_deg: Largest angle between two of its orientations, degrees.
        second_turn_deg: How far it has turned about axes across its main one, degrees.
        travel_m: Largest distance between two of its positions, metres.
    """

    link: str
    turn_deg: float
    second_turn_deg: float
    travel_m: float


@dataclass(frozen=True)
class MotionFigures:
    """What the poses so far amount to.

    Attributes:
        poses: How many differ from each other by 0.1 rad (or m) in some joint.
        done: How the end-effector has moved; None without kinematics.
        possible: How it can move within its joints' limits; None without kinematics.
    """

    poses: int
    done: EndEffectorMotion | None = None
    possible: EndEffectorMotion | None = None


class MotionCoverage:
    """Collects poses of the robot."""

    def __init__(self, kinematics: Kinematics | None = None) -> None:
        """Begin; without kinematics poses are only counted."""
        self._kinematics: Kinematics | None = None
        self._names: tuple[str, ...] = ()
        self._poses: NDArray[np.float64] = np.empty((0, 0))
        self._figures: MotionFigures | None = None
        self._ends: tuple[str, ...] = ()
        self._possible: dict[str, EndEffectorMotion] = {}
        if kinematics is not None:
            self.kinematics = kinematics

    @property
    def kinematics(self) -> Kinematics | None:
        """The robot; None while it is not known."""
        return self._kinematics

    @kinematics.setter
    def kinematics(self, kinematics: Kinematics) -> None:
        if kinematics is self._kinematics:
            return
        self._kinematics = kinematics
        self._figures = None
        self._ends = end_effectors(kinematics)
        self._possible = {link: _possible_motion(kinematics, link) for link in self._ends}

    def add(self, pose: Mapping[str, float]) -> bool:
        """Add a pose by joint names and return whether it differs from those before."""
        names = tuple(sorted(name for name in pose if self._counts(name)))
        if not names or set(names) < set(self._names):
            return False
        values = np.array([pose[name] for name in names])
        if names != self._names:
            # Another publisher has appeared: the poses before were not whole.
            self._names = names
            self._poses = np.empty((0, len(names)))
        if len(self._poses) and (np.abs(self._poses - values).max(axis=1) < _DISTINCT).any():
            return False
        if len(self._poses) < _MOST_POSES:
            self._poses = np.vstack([self._poses, values])
            self._figures = None
        return True

    def figures(self) -> MotionFigures:
        """Return what the poses amount to."""
        if self._figures is None:
            self._figures = self._counted()
        return self._figures

    def _counts(self, name: str) -> bool:
        """Return whether a joint is one of an arm, as far as is known."""
        kinematics = self._kinematics
        if kinematics is None:
            return True
        return any(name in kinematics.moving_joints(link) for link in self._ends)

    def _counted(self) -> MotionFigures:
        kinematics = self._kinematics
        if kinematics is None or not len(self._poses):
            return MotionFigures(len(self._poses))
        q = np.zeros((len(self._poses), len(kinematics.joint_names)))
        for column, name in enumerate(kinematics.joint_names):
            if name in self._names:
                q[:, column] = self._poses[:, self._names.index(name)]
        done = [_motion(kinematics, link, q) for link in self._ends]
        most = max(done, key=lambda motion: motion.travel_m + np.radians(motion.turn_deg))
        return MotionFigures(len(self._poses), most, self._possible[most.link])


def end_effectors(kinematics: Kinematics) -> tuple[str, ...]:
    """Return the links at the ends of the robot's arms: those that carry the fingers, if any."""
    joints = {link: set(kinematics.moving_joints(link)) for link in kinematics.link_names}
    children: dict[str | None, list[str]] = {}
    for link in kinematics.link_names:
        children.setdefault(kinematics.parent(link), []).append(link)

    def moved_by(link: str) -> set[str]:
        return joints[link].union(*map(moved_by, children.get(link, ())))

    def ends(link: str) -> tuple[str, ...]:
        drivers = {child: moved_by(child) - joints[link] for child in children.get(link, ())}
        branches = [child for child, names in drivers.items() if names]
        if len(branches) > 1:
            branches = [child for child in branches if len(drivers[child]) >= _FEWEST_ARM_JOINTS]
        if not branches:
            return (link,)
        return tuple(end for child in branches for end in ends(child))

    (root,) = children[None]
    return ends(root)


def _possible_motion(kinematics: Kinematics, link: str) -> EndEffectorMotion:
    """Return how an end-effector moves between random poses within the joints' limits."""
    low = np.maximum(kinematics.lower, -_LARGEST_SWING)
    high = np.minimum(kinematics.upper, _LARGEST_SWING)
    unit = np.random.default_rng(0).uniform(size=(_SAMPLES, len(kinematics.joint_names)))
    return _motion(kinematics, link, low + unit * (high - low))


def _motion(kinematics: Kinematics, link: str, q: NDArray[np.float64]) -> EndEffectorMotion:
    """Return how a link moves between (N, J) joint positions."""
    T = kinematics.forward(q)[:, kinematics.link_names.index(link)]
    R = Rotation.from_matrix(T[:, :3, :3])
    quaternions = R.as_quat()
    cosines = np.clip(np.abs(quaternions @ quaternions.T), 0.0, 1.0)
    angles_deg = np.degrees(2.0 * np.arccos(cosines))
    # About the orientation in the middle, rotation vectors are shortest.
    middle = R[int(np.argmin(angles_deg.max(axis=1)))]
    vectors = np.degrees((R * middle.inv()).as_rotvec())
    axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2]
    spans = np.ptp(vectors @ axes.T, axis=0)
    positions = T[:, :3, 3]
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return EndEffectorMotion(
        link=link,
        turn_deg=float(angles_deg.max()),
        second_turn_deg=float(spans[1]) if len(spans) > 1 else 0.0,
        travel_m=float(apart.max()),
    )


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

    def findings(self) -> list[RecordingIssue]:
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

    def _blur(self, images: ImageFigures) -> RecordingIssue | None:
        if images.inspected < _FEWEST_JUDGED:
            return None
        if images.blurred < _MANY_BLURRED * images.inspected:
            return None
        return RecordingIssue(
            "hint",
            "sharpness",
            f"{images.blurred} of the {images.inspected} images looked at are blurred: fix the "
            "camera and its focus, shorten its exposure, and move slower",
        )

    def _poses(self, motion: MotionFigures) -> RecordingIssue | None:
        if motion.poses >= self._goals.poses:
            return None
        return RecordingIssue(
            "hint",
            "poses",
            f"{motion.poses} different poses are recorded, {self._goals.poses} are wanted: keep "
            "moving to new ones",
        )

    def _travel(self, motion: MotionFigures) -> RecordingIssue | None:
        if motion.done is None or motion.possible is None:
            return None
        wanted_m = self._goals.travel_share * motion.possible.travel_m
        if motion.done.travel_m >= wanted_m:
            return None
        return RecordingIssue(
            "hint",
            "travel",
            f"move the arm farther: the end-effector ({motion.done.link}) has travelled over "
            f"{100 * motion.done.travel_m:.0f} cm, {100 * wanted_m:.0f} cm are wanted",
        )

    def _turn(self, motion: MotionFigures) -> RecordingIssue | None:
        if motion.done is None or motion.possible is None:
            return None
        # Not every robot can turn its end-effector about two axes, or at all.
        wanted_deg = min(self._goals.turn_deg, _EASILY * motion.possible.turn_deg)
        if motion.done.turn_deg < wanted_deg - _ROUNDING_DEG:
            return RecordingIssue(
                "hint",
                "turn",
                f"rotate the wrist more: the end-effector ({motion.done.link}) has turned by "
                f"{motion.done.turn_deg:.0f} deg, {wanted_deg:.0f} are wanted",
            )
        wanted_deg = min(self._goals.second_turn_deg, _EASILY * motion.possible.second_turn_deg)
        if motion.done.second_turn_deg < wanted_deg - _ROUNDING_DEG:
            return RecordingIssue(
                "hint",
                "turn",
                "tilt the wrist about another axis, too: the end-effector "
                f"({motion.done.link}) has turned by {motion.done.second_turn_deg:.0f} deg across "
                f"its main axis, {wanted_deg:.0f} are wanted",
            )
        return None

    def _image(self, motion: MotionFigures, images: ImageFigures) -> RecordingIssue | None:
        if images.changed_share >= self._goals.changed_share or motion.poses < 2:
            return None
        return RecordingIssue(
            "hint",
            "image",
            f"move to other parts of the image: {100 * images.changed_share:.0f} % of it have "
            f"changed, {100 * self._goals.changed_share:.0f} % are wanted; if the robot is hardly "
            "in view, turn the camera towards it",
        )
