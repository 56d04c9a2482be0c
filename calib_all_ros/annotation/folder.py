# SPDX-License-Identifier: Apache-2.0
"""A folder of annotations: its parts, its tables, and the document that explains it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.outputs import (
    COCO_NAME,
    TRAJECTORY_NAME,
    CocoFile,
    DepthNpy,
    DepthPng,
    GripperPng,
    LinksPng,
    Output,
    TrajectoryFile,
    write_file,
)
from calib_all_ros.annotation.palette import link_colour
from calib_all_ros.annotation.trajectory_table import COLUMNS
from calib_all_ros.annotation.video import VIDEO_NAME, AnnotatedVideo

Progress = Callable[[str, float], None]

DOCUMENT_NAME = "annotations.json"
LINKS_NAME = "links.csv"
PARTS: dict[str, str] = {
    "depth_png": "depth_png/FRAME.png: 16 bits, millimetres along the optical axis, 0 = no robot",
    "depth_npy": "depth_npy/FRAME.npy: float32 (H, W), metres along the optical axis, 0 = no robot",
    "masks": f"link_masks/FRAME.png: indexed PNG, the links by the labels of {LINKS_NAME}, 0 = no "
    "robot",
    "gripper": "gripper_masks/FRAME.png: 255 on the gripper, 0 elsewhere",
    "coco": f"{COCO_NAME}: masks of the links as COCO run lengths; category_id is the label",
    "trajectory": f"{TRAJECTORY_NAME}: the end-effector in every frame",
    "video": f"{VIDEO_NAME}: everything drawn, for people to look at",
}
"""The parts and what they are. FRAME is the image's number in the recording, six digits."""


def write_folder(
    folder: Path,
    annotated: AnnotatedRecording,
    parts: Collection[str],
    provenance: Mapping[str, Any],
    on_progress: Progress | None = None,
) -> None:
    """Annotate a recording into a folder.

    Args:
        folder: An empty folder.
        annotated: The recording; its frames are written.
        parts: Some of `PARTS`.
        provenance: What the annotations come from, for the document.
        on_progress: Called with "annotate" and the finished share.

    Raises:
        AnnotationError: A part is unknown, no frame is left, or a file cannot be written.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise AnnotationError(f"no part '{unknown[0]}'; there are: {', '.join(PARTS)}")
    total = len(annotated.frames)
    if total == 0:
        raise AnnotationError(f"no frame of {annotated.recording.source} is left to annotate")
    wanted = [part for part in PARTS if part in parts]
    outputs = [_output(part, folder, annotated) for part in wanted]
    for done, annotation in enumerate(annotated.annotations(), start=1):
        for output in outputs:
            output.add(annotation)
        if on_progress:
            on_progress("annotate", done / total)
    for output in outputs:
        output.close()
    write_file(folder / LINKS_NAME, links_table(annotated).encode())
    document = _document(annotated, wanted, provenance)
    write_file(folder / DOCUMENT_NAME, (json.dumps(document, indent=1) + "\n").encode())


def links_table(annotated: AnnotatedRecording) -> str:
    """Return label, name and colour of every link, whether it is drawn, and the gripper's, as CSV.

    A label is one more than the link's place in the robot description; 0 is the background.
    """
    drawn, gripper = annotated.drawn_links, annotated.end_effector.gripper_links
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "link", "red", "green", "blue", "drawn", "gripper"])
    for link, name in enumerate(annotated.link_names):
        row = [link + 1, name, *link_colour(link), int(name in drawn), int(name in gripper)]
        writer.writerow(row)
    return text.getvalue()


def _output(part: str, folder: Path, annotated: AnnotatedRecording) -> Output:
    first_ns = int(annotated.recording.image_stamps_ns[0])
    makers: dict[str, Callable[[], Output]] = {
        "depth_png": lambda: DepthPng(folder / "depth_png"),
        "depth_npy": lambda: DepthNpy(folder / "depth_npy"),
        "masks": lambda: LinksPng(folder / "link_masks", len(annotated.link_names)),
        "gripper": lambda: GripperPng(folder / "gripper_masks"),
        "coco": lambda: CocoFile(folder / COCO_NAME, annotated, "link_masks"),
        "trajectory": lambda: TrajectoryFile(folder / TRAJECTORY_NAME, first_ns),
        "video": lambda: AnnotatedVideo(folder / VIDEO_NAME, annotated),
    }
    return makers[part]()


def _document(
    annotated: AnnotatedRecording, parts: Sequence[str], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    camera, estimate, end = annotated.camera, annotated.estimate, annotated.end_effector
    return {
        "format_version": 1,
        **provenance,
        "camera": {
            "frame_id": camera.frame_id,
            "width": camera.width,
            "height": camera.height,
            "model": camera.model,
            "K": camera.K.tolist(),
            "D": camera.distortion.tolist(),
        },
        "T_camera_base": estimate.T_camera_base.tolist(),
        "lag_ms": 1e3 * estimate.lag_s,
        "joint_offsets": _joint_offsets(annotated),
        "end_effector": {
            "link": end.link,
            "gripper_links": list(end.gripper_links),
            "how_found": end.why,
        },
        "parts": {part: PARTS[part] for part in parts},
        "links": LINKS_NAME,
        "trajectory_columns": COLUMNS if "trajectory" in parts else {},
        "frames": annotated.frames.tolist(),
        "frames_in_recording": len(annotated.recording),
        "notes": list(annotated.notes),
    }


def _joint_offsets(annotated: AnnotatedRecording) -> dict[str, float]:
    offsets = annotated.estimate.joint_offsets
    if offsets is None:
        return {}
    return dict(zip(annotated.motion.kinematics.joint_names, offsets.tolist(), strict=True))
