# SPDX-License-Identifier: Apache-2.0
"""Sequences in the NDDS format as DREAM's data sets use it.

A folder with ``000000.rgb.jpg`` (or ``.png``) and ``000000.json`` for each frame, and
``_camera_settings.json``. The JSON of a frame has one entry in ``objects`` with ``class`` and
``keypoints`` (``name``, ``location`` [x, y, z] in the optical frame, ``projected_location`` [u, v])
and ``sim_state.joints`` (``name``, ``position`` in radians). Locations are in metres in DREAM's
real recordings and in centimetres in its synthetic ones; nothing in the files says so. Frames have
numbers, no stamps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.folder import ImageFiles
from calib_all_ros.recording.masks import masks_from_folder
from calib_all_ros.recording.recording import Recording, fingerprint

CAMERA_FILE = "_camera_settings.json"
IMAGE_SUFFIXES = (".rgb.jpg", ".rgb.png")
# What DREAM's network for the Panda detects, and what its numbers are of.
PANDA_KEYPOINTS = (
    "panda_link0",
    "panda_link2",
    "panda_link3",
    "panda_link4",
    "panda_link6",
    "panda_link7",
    "panda_hand",
)


class NddsError(CalibAllError):
    """A folder that is not a sequence in NDDS format, or not one of this robot."""


@dataclass(frozen=True, eq=False)
class NddsSequence:
    """N annotated images of one camera.

    Attributes:
        folder: Where they are.
        robot_class: What the annotations call the robot.
        names: (N,) names of the frames, ascending.
        images: N images, decoded on access.
        camera: Pinhole camera.
        joint_names: (J,) without the part before a slash.
        positions: (N, J) radians or metres.
        keypoint_names: (K,) names of links.
        locations: (N, K, 3) annotated keypoints in the optical frame, in the unit of the files.
        projections: (N, K, 2) annotated keypoints in the image, pixels.
    """

    folder: Path
    robot_class: str
    names: tuple[str, ...]
    images: ImageFiles
    camera: Camera
    joint_names: tuple[str, ...]
    positions: NDArray[np.float64]
    keypoint_names: tuple[str, ...]
    locations: NDArray[np.float64]
    projections: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def recording(self, rate_hz: float, masks: str | None = None) -> Recording:
        """Return all frames as a recording; the annotations do not go into it.

        Args:
            rate_hz: Frame numbers are taken for this rate.
            masks: Folder of mask images inside of the sequence's, named like the frames.

        Raises:
            RecordingError: The masks cannot be used.
        """
        numbers = np.array([int(name) for name in self.names])
        stamps = np.rint(numbers * (1e9 / rate_hz)).astype(np.int64)
        found = None
        if masks is not None:
            found = masks_from_folder(self.folder / masks, self.names, self.camera)
        return Recording(
            source=str(self.folder),
            camera=self.camera,
            image_stamps_ns=stamps,
            images=self.images,
            joints=JointTrajectory(self.joint_names, stamps, self.positions),
            masks=found,
            fingerprint=fingerprint([self.images.paths[0], self.images.paths[-1]]),
        )


def read_sequence(
    folder: Path,
    keypoints: Sequence[str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> NddsSequence:
    """Read the annotations of a sequence; images are read when they are asked for.

    Args:
        folder: The sequence.
        keypoints: Names of the keypoints to read; None takes `PANDA_KEYPOINTS` of a "panda", and
            all that the first frame has of other robots.
        on_progress: Called with (frames read, frames in total).

    Raises:
        NddsError: A file is missing or broken, or the frames do not go together.
    """
    files = sorted(path for path in folder.glob("*.json") if path.stem.isdigit())
    if len(files) < 2:
        raise NddsError(
            f"{folder} holds {len(files)} annotated frames (000000.json, ...): give the folder of "
            "a sequence in NDDS format"
        )
    camera = _read_camera(folder / CAMERA_FILE)
    joints: list[dict[str, float]] = []
    locations: list[list[Any]] = []
    projections: list[list[Any]] = []
    names: tuple[str, ...] | None = None if keypoints is None else tuple(keypoints)
    robot_class = ""
    for number, path in enumerate(files):
        document = _read_json(path)
        try:
            (thing,) = document["objects"]
            points = {point["name"]: point for point in thing["keypoints"]}
            if number == 0:
                robot_class = str(thing["class"])
                names = names or (PANDA_KEYPOINTS if robot_class == "panda" else tuple(points))
            assert names is not None
            locations.append([points[name]["location"] for name in names])
            projections.append([points[name]["projected_location"] for name in names])
            states = document["sim_state"]["joints"]
            joints.append({joint["name"].split("/")[-1]: joint["position"] for joint in states})
        except (KeyError, TypeError, ValueError) as error:
            raise NddsError(
                f"{path} cannot be used ({type(error).__name__}: {error}): it needs one object "
                "with class and keypoints (name, location, projected_location), and "
                "sim_state.joints"
            ) from None
        if joints[-1].keys() != joints[0].keys():
            raise NddsError(f"{path} and {files[0]} list different joints: remove one of them")
        if on_progress is not None:
            on_progress(number + 1, len(files))
    assert names is not None
    joint_names = tuple(joints[0])
    return NddsSequence(
        folder=folder,
        robot_class=robot_class,
        names=tuple(path.stem for path in files),
        images=ImageFiles(tuple(_image_of(path) for path in files), camera),
        camera=camera,
        joint_names=joint_names,
        positions=_numbers([[state[n] for n in joint_names] for state in joints], 1, folder),
        keypoint_names=names,
        locations=_numbers(locations, 3, folder),
        projections=_numbers(projections, 2, folder),
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NddsError(f"{path} cannot be read ({error}): copy the sequence again") from None


def _read_camera(path: Path) -> Camera:
    document = _read_json(path)
    try:
        (settings,) = document["camera_settings"]
        lens, size = settings["intrinsic_settings"], settings["captured_image_size"]
        fx, fy, cx, cy = (float(lens[name]) for name in ("fx", "fy", "cx", "cy"))
        width, height = int(size["width"]), int(size["height"])
    except (KeyError, TypeError, ValueError) as error:
        raise NddsError(
            f"{path} cannot be used ({type(error).__name__}: {error}): it needs one entry in "
            "camera_settings with intrinsic_settings (fx, fy, cx, cy) and captured_image_size"
        ) from None
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return Camera(K, width, height, np.zeros(0), "pinhole")


def _image_of(path: Path) -> Path:
    for suffix in IMAGE_SUFFIXES:
        image = path.with_name(path.stem + suffix)
        if image.is_file():
            return image
    raise NddsError(
        f"{path} has no image {path.stem}{IMAGE_SUFFIXES[0]} or {IMAGE_SUFFIXES[1]} beside it: "
        "copy the sequence again"
    )


def _numbers(values: list[list[Any]], width: int, folder: Path) -> NDArray[np.float64]:
    """Return (N, M, width) finite numbers, (N, M) for a width of one."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full((1, 1, 1), np.nan)
    shape_fits = array.ndim == 2 if width == 1 else array.ndim == 3 and array.shape[2] == width
    if not shape_fits or not np.isfinite(array).all():
        raise NddsError(
            f"annotations in {folder} hold something other than numbers: copy the sequence again"
        )
    return array
