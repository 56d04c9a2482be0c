# SPDX-License-Identifier: Apache-2.0
"""What users believe wrongly: robot, joints, clocks, intrinsics, and where a mark is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.arm_models import arm_models, load_arm
from benchmarks.takes import Take
from calib_all_ros.calibration import Mark
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.robot.description import Robot, load_robot

Generator = np.random.Generator
NS_PER_MS = 1_000_000
# Principal points are moved by pixels of an image of this width.
REFERENCE_WIDTH_PX = 640


def late(take: Take, lag_ms: float, rng: Generator) -> Take:
    """Stamp all images later than their light."""
    return replace(take, image_stamps_ns=take.image_stamps_ns + round(lag_ms * NS_PER_MS))


def drifting(take: Take, lag_ms: float, rng: Generator) -> Take:
    """Stamp the first image in time and the last one so much later than its light."""
    lags = np.rint(np.linspace(0.0, lag_ms * NS_PER_MS, len(take))).astype(np.int64)
    return replace(take, image_stamps_ns=take.image_stamps_ns + lags)


def some_late(take: Take, share: float, rng: Generator) -> Take:
    """Deliver in a share of the frames an older image: one to three intervals late."""
    images, masks = take.images.copy(), take.masks.copy()
    for i in 3 + rng.permutation(len(take) - 3)[: round(share * len(take))]:
        older = i - rng.integers(1, 4)
        images[i], masks[i] = take.images[older], take.masks[older]
    return replace(take, images=images, masks=masks)


def wrong_focal_length(take: Take, error: float, rng: Generator) -> Take:
    """State a focal length that is longer or shorter by a share."""
    factor = 1.0 + error if rng.random() < 0.5 else 1.0 / (1.0 + error)
    K = take.camera.K.copy()
    K[0, 0] *= factor
    K[1, 1] *= factor
    return replace(take, camera=replace(take.camera, K=K), detail=f"times {factor:.3f}")


def wrong_principal_point(take: Take, error_px: float, rng: Generator) -> Take:
    """State a principal point that is off by pixels of a 640 pixel wide image."""
    angle = rng.uniform(-np.pi, np.pi)
    off_px = error_px * take.camera.width / REFERENCE_WIDTH_PX
    K = take.camera.K.copy()
    K[:2, 2] += off_px * np.array([np.cos(angle), np.sin(angle)])
    return replace(take, camera=replace(take.camera, K=K), detail=f"{np.degrees(angle):.0f} deg")


def another_arm(take: Take, strength: float, rng: Generator) -> Take:
    """Take the description of another arm, the joint states under its joints' names."""
    own, models = take.scene.spec.robot, arm_models()
    others = sorted(({*models, "demo"}) - {own})
    if not others:
        return longer_link(take, 0.5, rng)
    name = others[rng.integers(len(others))]
    robot = load_arm(name)
    recorded = [take.joints.series(joint) for joint in take.scene.arm.arm_joints]
    standing = (recorded[0][0], np.zeros(len(recorded[0][0])))
    theirs = robot.kinematics.joint_names
    series = {
        joint: recorded[i] if i < len(recorded) else standing for i, joint in enumerate(theirs)
    }
    return replace(take, robot=robot, joints=JointTrajectory.from_series(series), detail=name)


def longer_link(take: Take, share: float, rng: Generator) -> Take:
    """Take a description in which the arm's longest or next longest link is longer."""
    order = int(rng.integers(2))
    chosen = ""

    def lengthen(root: ElementTree.Element) -> None:
        nonlocal chosen
        origins = {
            name: origin
            for name in take.scene.arm.arm_joints[1:]
            if (origin := root.find(f"joint[@name='{name}']/origin")) is not None
        }
        chosen = sorted(origins, key=lambda name: -_length(origins[name]))[order]
        origin = origins[chosen]
        longer = (1.0 + share) * np.array(origin.get("xyz", "0 0 0").split(), dtype=float)
        origin.set("xyz", " ".join(str(value) for value in longer))

    robot = _edited(take, lengthen)
    return replace(take, robot=robot, detail=f"before {chosen}")


def _length(origin: ElementTree.Element) -> float:
    return float(np.linalg.norm(np.array(origin.get("xyz", "0 0 0").split(), dtype=float)))


def _edited(take: Take, edit: Callable[[ElementTree.Element], None]) -> Robot:
    urdf = take.scene.arm.urdf
    root = ElementTree.fromstring(urdf.read_text(encoding="utf-8"))
    edit(root)
    return load_robot(ElementTree.tostring(root, encoding="unicode"), mesh_paths=[urdf.parent])


def missing_gripper(take: Take, strength: float, rng: Generator) -> Take:
    """Take a description without fingers (1), without gripper (2), without wrist and gripper (3).

    The pictures and masks still show them.
    """
    gripper = take.scene.arm.gripper_links
    dropped = list(gripper[1:] if strength < 2 else gripper)
    if strength >= 3:
        dropped.append(_arm_links(take)[-1])
    robot = replace(take.robot, surface=take.robot.surface.without_links(dropped))
    return replace(take, robot=robot)


def moving_base_frame(take: Take, joints: float, rng: Generator) -> Take:
    """Take for the base a link that so many joints move: no pose is right then."""
    link = _arm_links(take)[int(joints) - 1]
    urdf = take.scene.arm.urdf
    robot = load_robot(urdf, base_frame=link, mesh_paths=[urdf.parent])
    return replace(take, robot=robot, truths=(), detail=link)


def joint_zero_off(take: Take, offset_rad: float, rng: Generator) -> Take:
    """Publish one joint's position off by an angle.

    Never the first joint's: that would be a turn of the base frame itself, which nothing but the
    foot of the robot could show.
    """
    joints = take.scene.arm.arm_joints[1:]
    joint = joints[rng.integers(len(joints))]
    sign = 1.0 if rng.random() < 0.5 else -1.0
    changed = _with_joint(take.joints, joint, lambda q: q + sign * offset_rad)
    return replace(take, joints=changed, detail=joint)


def mirrored_joint(take: Take, number: float, rng: Generator) -> Take:
    """Publish the positions of a joint, counted from the flange from 1, with the wrong sign."""
    joint = take.scene.arm.arm_joints[-int(number)]
    return replace(take, joints=_with_joint(take.joints, joint, np.negative), detail=joint)


def _with_joint(
    joints: JointTrajectory,
    name: str,
    change: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> JointTrajectory:
    series = {other: joints.series(other) for other in joints.names}
    stamps, positions = series[name]
    series[name] = stamps, change(positions)
    return JointTrajectory.from_series(series)


def _arm_links(take: Take) -> list[str]:
    """Return for each of the arm's joints a link that moves with it and has a surface."""
    kinematics, arm = take.scene.robot.kinematics, take.scene.arm
    seen = {kinematics.link_names[i] for i in np.unique(take.scene.robot.surface.link_of_face)}
    links = []
    for count in range(1, len(arm.arm_joints) + 1):
        moved = arm.arm_joints[:count]
        links += [
            link
            for link in kinematics.link_names
            if kinematics.moving_joints(link) == moved and link in seen
        ][:1]
    return links


def marked(take: Take, strength: float, rng: Generator) -> Take:
    """Mark a point rightly, on one of the last links."""
    return _mark(take, 0, rng)


def mark_on_other_link(take: Take, links: float, rng: Generator) -> Take:
    """Mark a point on one of the last links and name a link so many joints nearer to the base."""
    return _mark(take, int(links), rng)


def mark_on_background(take: Take, strength: float, rng: Generator) -> Take:
    """Mark a point on the table or the wall and name the last link."""
    still = np.asarray(~take.masks.any(axis=0))
    pixel = _corner(take.images[0], still, rng)
    return replace(take, mark=Mark(pixel, 0, _arm_links(take)[-1]), detail="background")


def _mark(take: Take, links_off: int, rng: Generator) -> Take:
    links = _arm_links(take)
    labels = take.scene.link_labels[: len(take) // 2]
    names = take.robot.kinematics.link_names
    areas = {link: (labels == names.index(link) + 1).sum(axis=(1, 2)) for link in links[-3:]}
    link = max(areas, key=lambda name: int(areas[name].max()))
    frame = int(areas[link].argmax())
    on_link = labels[frame] == names.index(link) + 1
    stated = links[max(0, links.index(link) - links_off)]
    pixel = _corner(take.images[frame], on_link, rng)
    return replace(take, mark=Mark(pixel, frame, stated), detail=f"on {link}, said {stated}")


def _corner(
    image: NDArray[np.uint8], where: NDArray[np.bool_], rng: Generator
) -> tuple[float, float]:
    """Return (u, v) of a point that can be tracked, off the border of the region if it can be."""
    inner = cv2.erode(where.astype(np.uint8), np.ones((7, 7), np.uint8))
    region = inner if inner.any() else where.astype(np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    found = cv2.goodFeaturesToTrack(grey, 5, 0.01, 3, mask=region)
    # OpenCV returns None where it finds none, contrary to its type.
    corners = np.argwhere(region > 0)[:, ::-1] if found is None else np.reshape(found, (-1, 2))
    u, v = corners[rng.integers(len(corners))]
    return float(u), float(v)
