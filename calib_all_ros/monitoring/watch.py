# SPDX-License-Identifier: Apache-2.0
"""Blur of an image as a whole, compared with those before it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.monitoring.agreement import Belief
from calib_all_ros.monitoring.background import (
    BackgroundFinding,
    BackgroundWitness,
    flattened,
)
from calib_all_ros.monitoring.edges import MovingEdges, image_gradient
from calib_all_ros.monitoring.outline import OutlineImage, OutlineWitness
from calib_all_ros.monitoring.state import MonitorSettings, State

NS_PER_S = 1_000_000_000
# Images with a mean brightness below or above this show nothing.
TOO_DARK = 10.0
TOO_BRIGHT = 245.0
# So much more of the outline must be seen again before the robot counts as seen.
OCCLUDED_MARGIN = 0.1
# Fits begin with so many images and follow after so many new ones, fewer when in doubt.
FIRST_FIT = 5
FIT_EVERY = 8
FIT_EVERY_IN_DOUBT = 4
DOUBTFUL_PEAK_PX = 1.0
# Corners so near to the robot are not followed, working pixels.
ROBOT_MARGIN_PX = 6
# In the reference image they are this far away, lest they be the robot's own and move with it.
REFERENCE_MARGIN_PX = 16
# A robot of which so much is seen in its place is the right one, partly hidden.
PARTLY_SEEN = 0.25
# Something else moves when more of the image, away from the robot, has strong moving edges than
# usual, by this factor and share: robots cast shadows.
STRONG_EDGE = 0.3
FOREIGN_MARGIN_PX = 12
FOREIGN_FACTOR = 1.3
FOREIGN_SHARE = 0.003
# Part of the background is hidden below this share of the corners that are usually recognised.
HIDDEN_BACKGROUND_SHARE = 0.9
GRID = (6, 8)
DARK = 10.0
# Only the parts of the image with most detail lose any when the image is blurred.
DETAILED_QUANTILE = 0.5
# Something in front of the camera leaves the detail in other parts as it is.
INTACT_QUANTILE = 0.75
# An image is blurred when even these parts have less than this share of their usual detail.
BLURRED_SHARE = 0.6
USUAL_RATE = 0.05
_LOGARITHM = np.log(np.arange(256, dtype=np.float32) + DARK)


@dataclass(frozen=True)
class Conclusion:
    """What is to be said after an image.

    Attributes:
        state: The finding.
        cause: Why, where the state alone does not say.
        believed: What is believed of the camera.
        seen_s_ago: When the outline last supported that, seconds before the image.
        figures: What was measured, in pixels of the working image.
        T_camera_base: (4, 4) where the outline says the camera is, if it moved.
    """

    state: State
    cause: str
    believed: State
    seen_s_ago: float | None
    figures: dict[str, float]
    T_camera_base: NDArray[np.float64] | None = None


class Watch:
    """Judges images of the working camera, one after the other."""

    def __init__(self, outline: OutlineWitness, camera: Camera, settings: MonitorSettings) -> None:
        """Begin.

        Args:
            outline: The first witness.
            camera: Pinhole camera of the images.
            settings: Limits.
        """
        self._outline = outline
        self._camera = camera
        self._settings = settings
        self._belief = Belief(settings, settings.moved_share * camera.width)
        self._background = BackgroundWitness()
        self._edges = MovingEdges()
        self._new_images = 0
        self._moved_ns: int | None = None
        self._background_seen_ns: int | None = None
        self._hidden = False
        self._blur = BlurCheck()
        self._blurred = False
        self._usual_recognised = 0.0
        self._usual_foreign = 0.0

    def judge(
        self, image: NDArray[np.uint8], instant_ns: int, joints: JointTrajectory
    ) -> Conclusion:
        """Take an image.

        Args:
            image: (H, W, 3) RGB.
            instant_ns: When it was taken, on the joint states' clock.
            joints: Joint states that cover the instant.
        """
        figures = {"brightness": float(image.mean())}
        if figures["brightness"] < TOO_DARK or figures["brightness"] > TOO_BRIGHT:
            cause = "dark" if figures["brightness"] < TOO_DARK else "bright"
            self._note_outline(figures)
            # An alarm does not end because the light goes out.
            moved = self._belief.camera is State.MOVED
            return self._conclusion(
                State.MOVED if moved else State.UNSURE, cause, instant_ns, figures
            )
        gradient = image_gradient(image)
        edges = self._edges.of(gradient)
        seen = self._outline.look(edges, instant_ns, joints, self._belief.known_shift_px)
        self._look_at_background(image, seen, instant_ns, figures)
        self._blurred = self._blur.is_blurred(image)
        if seen is not None:
            self._look_at_outline(seen, gradient, instant_ns)
        self._note_outline(figures)
        state, cause = self._weigh(edges, seen, instant_ns, figures)
        return self._conclusion(state, cause, instant_ns, figures)

    def _look_at_background(
        self,
        image: NDArray[np.uint8],
        seen: OutlineImage | None,
        instant_ns: int,
        figures: dict[str, float],
    ) -> None:
        flat = flattened(image)
        robot = np.zeros(flat.shape, dtype=bool) if seen is None else seen.outline.masks[0]
        if not self._background.has_reference:
            self._background.renew(flat, _grown(robot, REFERENCE_MARGIN_PX))
        finding = self._background.look(flat, _grown(robot, ROBOT_MARGIN_PX))
        at_robot_px = 0.0
        if finding.motion is not None and seen is not None:
            points = seen.outline.pixels[seen.index]
            shift = points @ finding.motion[:, :2].T + finding.motion[:, 2] - points
            at_robot_px = float(np.sqrt((shift**2).sum(axis=1).mean()))
        moved_before = self._belief.background_moved
        self._belief.update_background(finding, at_robot_px)
        if self._belief.background_moved != moved_before:
            # What was seen from the former place says nothing about the new one.
            self._edges.forget()
            self._outline.forget()
            self._new_images = 0
        self._note_background(finding, instant_ns, figures)
        self._renew_background(flat, robot, instant_ns)

    def _note_background(
        self, finding: BackgroundFinding, instant_ns: int, figures: dict[str, float]
    ) -> None:
        figures["background_recognised_share"] = finding.recognised_share
        if finding.shift_px is None or finding.motion is None:
            return
        self._background_seen_ns = instant_ns
        figures["background_shift_px"] = finding.shift_px
        figures["background_rotation_deg"] = _rotation_deg(finding.motion, self._camera)
        self._usual_recognised += USUAL_RATE * (finding.recognised_share - self._usual_recognised)
        self._usual_recognised = max(self._usual_recognised, finding.recognised_share)

    def _renew_background(
        self, flat: NDArray[np.uint8], robot: NDArray[np.bool_], instant_ns: int
    ) -> None:
        """Take a new reference where something else has moved, or the scene looks different."""
        if self._background_seen_ns is None:
            self._background_seen_ns = instant_ns
        lost_s = (instant_ns - self._background_seen_ns) / NS_PER_S
        covered = _grown(robot, REFERENCE_MARGIN_PX)
        if self._belief.background_refuted:
            self._background.renew(flat, covered)
        elif self._belief.camera is State.OK and lost_s > self._settings.renewal_s:
            self._background.renew(flat, covered, self._background.last_motion)
        else:
            return
        self._belief.background_renewed()
        self._background_seen_ns = instant_ns
        self._usual_recognised = 0.0

    def _look_at_outline(
        self, seen: OutlineImage, gradient: NDArray[np.float32], instant_ns: int
    ) -> None:
        belief, witness = self._belief, self._outline
        in_motion = witness.keep(seen)
        belief.update_support(seen.support, in_motion=in_motion)
        if not in_motion:
            return
        self._moved_ns = instant_ns
        self._edges.learn(gradient)
        self._new_images += 1
        kept = len(witness.kept)
        doubt = belief.camera is not State.OK or witness.peak_px > DOUBTFUL_PEAK_PX
        due = FIT_EVERY_IN_DOUBT if doubt else FIT_EVERY
        if kept == FIRST_FIT or (kept > FIRST_FIT and self._new_images >= due):
            self._new_images = 0
            belief.update_outline(witness.fit(), blurred=self._blurred)

    def _note_outline(self, figures: dict[str, float]) -> None:
        finding = self._belief.outline
        if finding is not None:
            figures["outline_shift_px"] = finding.shift_px
            figures["outline_distance_m"] = finding.distance_m
            figures["lag_ms"] = 1e3 * finding.estimate.lag_s
        if self._belief.visible_share is not None:
            figures["visible_share"] = self._belief.visible_share

    def _weigh(
        self,
        edges: NDArray[np.float32],
        seen: OutlineImage | None,
        instant_ns: int,
        figures: dict[str, float],
    ) -> tuple[State, str]:
        believed = self._belief.camera
        visible = self._belief.visible_share
        foreign = seen is not None and self._is_foreign(edges, seen, figures)
        if believed in (State.MOVED, State.OUT_OF_STEP):
            return believed, ""
        if seen is None:
            return State.UNSURE, "out_of_view"
        if self._is_still(instant_ns):
            # How much is seen of the outline differs from pose to pose; in one it says little.
            return State.STILL, ""
        enough = self._settings.occluded_share + (OCCLUDED_MARGIN if self._hidden else 0.0)
        self._hidden = visible is not None and visible < enough
        if visible is None or not self._hidden:
            return (State.OK, "") if believed is State.OK else (State.UNSURE, "start")
        if self._blurred:
            return State.UNSURE, "blurred"
        if self._belief.background_moves:
            # The next images will tell whether the camera was moved just now.
            return believed, "start"
        recognised = figures["background_recognised_share"]
        covered = recognised < HIDDEN_BACKGROUND_SHARE * self._usual_recognised
        if covered or foreign or visible > PARTLY_SEEN:
            return State.OCCLUDED, ""
        return State.UNSURE, "not_found"

    def _is_foreign(
        self, edges: NDArray[np.float32], seen: OutlineImage, figures: dict[str, float]
    ) -> bool:
        """Return whether more moves beside the robot than usual."""
        visible = self._belief.visible_share
        if visible is None:
            return False
        share = _foreign_share(edges, seen)
        figures["foreign_share"] = share
        if visible > 1.0 - OCCLUDED_MARGIN:
            if self._usual_foreign == 0.0:
                self._usual_foreign = share
            self._usual_foreign += USUAL_RATE * (share - self._usual_foreign)
        return share > FOREIGN_FACTOR * self._usual_foreign + FOREIGN_SHARE

    def _is_still(self, instant_ns: int) -> bool:
        if self._moved_ns is None:
            self._moved_ns = instant_ns
        return instant_ns - self._moved_ns > self._settings.still_s * NS_PER_S

    def _conclusion(
        self, state: State, cause: str, instant_ns: int, figures: dict[str, float]
    ) -> Conclusion:
        finding = self._belief.outline
        seen_s_ago = None if finding is None else (instant_ns - finding.stamp_ns) / NS_PER_S
        moved = state is State.MOVED and finding is not None
        T = finding.estimate.T_camera_base if moved and finding is not None else None
        return Conclusion(state, cause, self._belief.camera, seen_s_ago, figures, T)


def _grown(mask: NDArray[np.bool_], margin_px: int) -> NDArray[np.bool_]:
    size = 2 * margin_px + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def _foreign_share(edges: NDArray[np.float32], seen: OutlineImage) -> float:
    """Return the share of the image, away from the robot, that has strong moving edges."""
    away = ~_grown(seen.outline.masks[0], FOREIGN_MARGIN_PX)
    strong = (edges * edges).sum(axis=2) > STRONG_EDGE
    return float(np.count_nonzero(strong & away)) / max(int(np.count_nonzero(away)), 1)


def _rotation_deg(motion: NDArray[np.float64], camera: Camera) -> float:
    """Return the angle of the camera's turn, if turning is what moved the background."""
    centre = camera.K[:2, 2]
    pan, tilt = (motion[:, :2] @ centre + motion[:, 2] - centre) / np.diag(camera.K)[:2]
    roll = 0.5 * (motion[1, 0] - motion[0, 1])
    return float(np.degrees(np.linalg.norm([np.arctan(pan), np.arctan(tilt), roll])))


class BlurCheck:
    """Knows how much detail each part of a camera's images usually has."""

    def __init__(self) -> None:
        self._usual: NDArray[np.float64] | None = None

    def is_blurred(self, image: NDArray[np.uint8]) -> bool:
        """Take an (H, W, 3) image and return whether it is blurred."""
        detail = _detail(image)
        if self._usual is None:
            self._usual = detail
        detailed = self._usual >= np.quantile(self._usual, DETAILED_QUANTILE)
        left = np.quantile(detail[detailed] / self._usual[detailed], INTACT_QUANTILE)
        if left < BLURRED_SHARE:
            return True
        self._usual += USUAL_RATE * (detail - self._usual)
        return False


def _detail(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the root mean square Laplacian of the log brightness in each cell of a grid."""
    grey = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _LOGARITHM)
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)
    # Averaging over areas of whole cells.
    energy = cv2.resize(laplacian * laplacian, GRID[::-1], interpolation=cv2.INTER_AREA)
    return np.sqrt(np.asarray(energy, dtype=np.float64)) + 1e-6
