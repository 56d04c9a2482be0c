# SPDX-License-Identifier: Apache-2.0
"""Annotations as features of a LeRobot dataset: one value per frame under ``annotation.CAMERA``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.label_image import depth_millimetres, grey_png, labels_of
from calib_all_ros.geometry import se3
from calib_all_ros.lerobot.added_features import (
    AddedFeature,
    FeatureSource,
    Values,
    annotation_key,
    kept_values,
)
from calib_all_ros.lerobot.address import find_address
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.writing import write_features
from calib_all_ros.recording.recording import FrameSubset

QUANTITIES: dict[str, str] = {
    "annotated": "whether the frame has joint states; where not, all else is a placeholder",
    "eef_pixel": "u and v of the end-effector in the image as it is, pixel centres at integers; "
    "-1, -1 where the lens shows it nowhere",
    "eef_depth": "its distance along the optical axis, metres",
    "eef_visible": "whether it is in the image and no other link is in front of it",
    "eef_pose": "x, y, z (metres) and qx, qy, qz, qw of it in the camera's optical frame",
    "eef_pose_base": "the same in the robot's base frame, when the image was taken",
    "depth": "PNG of 16 bits: the robot's depth in millimetres, 0 = no robot",
    "link_masks": "PNG of 8 bits: 1 + the link's place in the robot description, 0 = no robot",
    "gripper_mask": "PNG of 8 bits: 255 on the gripper, 0 elsewhere",
}
"""What is written of every frame, and what it means."""

PICTURES = ("depth", "link_masks", "gripper_mask")
_POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")
_NUMBERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "annotated": ("bool", ("annotated",)),
    "eef_pixel": ("float32", ("u", "v")),
    "eef_depth": ("float32", ("depth_m",)),
    "eef_visible": ("bool", ("visible",)),
    "eef_pose": ("float32", _POSE),
    "eef_pose_base": ("float32", _POSE),
}
_MOST_LABELS = 255


def annotation_features(
    camera_key: str, width: int, height: int, *, pictures: bool = True, links: Sequence[str] = ()
) -> tuple[AddedFeature, ...]:
    """Return the features of one camera.

    Args:
        camera_key: Feature of its images.
        width: Of its images, pixels.
        height: Of its images, pixels.
        pictures: Whether depth and masks are written.
        links: The robot's links in the order of their labels, for whoever reads the masks.

    Raises:
        AnnotationError: The robot has more links than a picture of 8 bits has labels.
    """
    if len(links) > _MOST_LABELS:
        raise AnnotationError(
            f"the robot has {len(links)} links, link masks of 8 bits take {_MOST_LABELS}"
        )
    features = [
        AddedFeature(
            annotation_key(camera_key, name), kind, (len(names),), names, {"is": QUANTITIES[name]}
        )
        for name, (kind, names) in _NUMBERS.items()
    ]
    for name in PICTURES if pictures else ():
        info: dict[str, Any] = {"is": QUANTITIES[name]}
        if name == "depth":
            info |= {"is_depth_map": True}
        if name == "link_masks":
            info |= {"links": list(links)}
        shape, axes = (height, width, 1), ("height", "width", "channels")
        key = annotation_key(camera_key, name)
        features.append(AddedFeature(key, "image", shape, axes, info))
    return tuple(features)


def frame_values(
    annotation: FrameAnnotation, camera_key: str, *, pictures: bool = True
) -> dict[str, Any]:
    """Return the values of one frame by the names of `annotation_features`.

    Numbers are arrays of the features' shapes, pictures the bytes of PNG files.
    """
    eef = annotation.eef
    known = bool(np.isfinite(eef.pixel).all())
    values: dict[str, Any] = {
        "annotated": [True],
        "eef_pixel": eef.pixel if known else [-1.0, -1.0],
        "eef_depth": [eef.depth_m],
        "eef_visible": [eef.visible],
        "eef_pose": [*eef.T_camera_eef[:3, 3], *se3.quaternion_xyzw(eef.T_camera_eef)],
        "eef_pose_base": [*eef.T_base_eef[:3, 3], *se3.quaternion_xyzw(eef.T_base_eef)],
    }
    arrays: dict[str, Any] = {
        name: np.asarray(value, dtype=_NUMBERS[name][0]) for name, value in values.items()
    }
    if pictures:
        labels = labels_of(annotation.links).astype(np.uint8)
        gripper = np.where(annotation.gripper, 255, 0).astype(np.uint8)
        arrays["depth"] = grey_png(depth_millimetres(annotation.depth_m))
        arrays["link_masks"] = grey_png(labels)
        arrays["gripper_mask"] = grey_png(gripper)
    return {annotation_key(camera_key, name): value for name, value in arrays.items()}


def annotation_source(
    dataset: LerobotDataset,
    camera_key: str,
    features: Sequence[AddedFeature],
    annotated: Callable[[Episode], AnnotatedRecording | None],
) -> FeatureSource:
    """Return what `lerobot.writing.write_features` takes: the features and how to come by values.

    Args:
        dataset: The dataset.
        camera_key: Feature of the camera's images.
        features: Those of `annotation_features`.
        annotated: Returns an episode with its calibration; where it returns None, the episode
            keeps the annotations that it has.

    Raises:
        LerobotError: The dataset has annotations of this camera that are described in another way.
    """
    family = [annotation_key(camera_key, name) for name in QUANTITIES]
    kept = kept_values(dataset, features, family)
    pictures = any(feature.is_image for feature in features)

    def values(episode: Episode) -> Values | None:
        recording = annotated(episode)
        if recording is None:
            return kept(episode)
        columns = {feature.key: feature.missing(episode.length) for feature in features}
        images = recording.recording.images
        rows = images.indices if isinstance(images, FrameSubset) else range(len(images))
        for annotation in recording.annotations():
            row = rows[annotation.index]
            for key, value in frame_values(annotation, camera_key, pictures=pictures).items():
                columns[key][row] = value
        return columns

    return FeatureSource(tuple(features), values)


def write_annotated_dataset(
    out: Path,
    annotated: AnnotatedRecording,
    *,
    pictures: bool = True,
    on_progress: Callable[[str, float], None] | None = None,
) -> None:
    """Write a copy of a LeRobot dataset in which one episode and camera is annotated.

    Frames of other episodes keep the annotations that they have, so that episodes can be annotated
    one after the other, each time into a new copy; without any they get placeholders, with
    ``annotated`` false.

    Args:
        out: Folder of the new dataset.
        annotated: A recording that was read from a LeRobot dataset.
        pictures: Whether depth and masks are written, too.
        on_progress: Called with "dataset" and the finished share.

    Raises:
        AnnotationError: The recording was not read from a LeRobot dataset.
        LerobotError: The dataset cannot be written, or has annotations of this camera that are
            described in another way.
    """
    address = find_address(annotated.recording.source)
    if address is None or address.episode is None or address.camera is None:
        raise AnnotationError(
            "--lerobot copies a LeRobot dataset, and this recording is none: give "
            "DATASET#episode=N,camera=KEY, or take the folder (--out)"
        )
    camera = annotated.camera
    features = annotation_features(
        address.camera,
        camera.width,
        camera.height,
        pictures=pictures,
        links=annotated.link_names,
    )
    dataset = LerobotDataset.open(address.path)
    source = annotation_source(
        dataset,
        address.camera,
        features,
        lambda episode: annotated if episode.index == address.episode else None,
    )

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("dataset", done / total)

    write_features(dataset, out, [source], on_progress=report)
