# SPDX-License-Identifier: Apache-2.0
"""Calibrates sequences in NDDS format and measures the keypoints' distances (ADD)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.camera_stretches import still_by_annotations, still_by_images
from benchmarks.dream_metric import AddMetrics, add_metrics, average_distance, keypoints_in_frame
from benchmarks.keypoint_fit import Keypoints, keypoints_of
from benchmarks.ndds import NddsSequence
from calib_all_ros.calibration import calibrate
from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.records import EvidenceChoice
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings

IMAGES, ANNOTATIONS, NONE = "images", "annotations", "none"
REFUSED, ACCEPTED = "refused", "accepted"
LOOKED_AT_EVERY_S = 0.5


@dataclass(frozen=True)
class EvaluationOptions:
    """How sequences are calibrated.

    Attributes:
        settings: Of `calibrate`; lag and joint offsets are never estimated.
        every: Only every so many frames may be used for the solve; all are evaluated.
        rate_hz: Nominal frame rate: the files hold no stamps.
        masks: Folder of masks inside of each sequence's, None without masks.
        segments: What tells where the camera stood still: `IMAGES`, `ANNOTATIONS`, or `NONE` for
            a camera that is taken to stand still throughout.
    """

    settings: Settings
    every: int = 1
    rate_hz: float = 30.0
    masks: str | None = None
    segments: str = IMAGES


@dataclass(frozen=True, eq=False)
class Segment:
    """Frames that got one pose.

    Attributes:
        frames: Their indices in the sequence.
        status: The verdict, or `REFUSED`.
        reasons: Why, one sentence each.
        T_camera_base: (4, 4) the estimate, None where refused.
        rotation_deg: How far it is from the annotated camera at the middle of the segment.
        position_mm: The same for the camera's position in the base frame.
        annotated_motion_mm: How far the annotated camera moved at most in these frames.
        seconds: Time of the solve.
        evidence: What it came from: which marks and masks were made and which were used.
    """

    frames: range
    status: str
    reasons: tuple[str, ...]
    T_camera_base: NDArray[np.float64] | None
    rotation_deg: float | None
    position_mm: float | None
    annotated_motion_mm: float
    seconds: float
    evidence: tuple[EvidenceChoice, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out for a sequence of N frames.

    Attributes:
        name: Of its folder.
        names: (N,) names of the frames.
        segments: Frames outside of them have no pose.
        add_m: (N,) mean distance of the keypoints in metres, NaN without a pose.
        in_frame: (N,) annotated keypoints in the image.
        floor_m: Median of the lowest ADD that any pose can have with this URDF.
        unit: Name of the annotations' unit.
    """

    name: str
    names: tuple[str, ...]
    segments: tuple[Segment, ...]
    add_m: NDArray[np.float64]
    in_frame: NDArray[np.intp]
    floor_m: float
    unit: str

    @property
    def metrics(self) -> AddMetrics:
        """Of all frames; those without a pose count as missed."""
        return add_metrics(self.add_m, self.in_frame)

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(N,) which frames are of accepted segments."""
        chosen = np.zeros(len(self.names), dtype=bool)
        for segment in self.segments:
            if segment.status == ACCEPTED:
                chosen[segment.frames.start : segment.frames.stop] = True
        return chosen

    def segment_metrics(self, segment: Segment) -> AddMetrics:
        """Return the metrics of one segment's frames."""
        part = slice(segment.frames.start, segment.frames.stop)
        return add_metrics(self.add_m[part], self.in_frame[part])


def evaluate(sequence: NddsSequence, robot: Robot, options: EvaluationOptions) -> Evaluation:
    """Calibrate a sequence, one pose for each segment, and compare with its annotations.

    The annotations are looked at after the solve, or before only to find the segments, where that
    is asked for.

    Raises:
        CalibAllError: The sequence cannot be used with this robot. A segment that cannot be
            calibrated is a result.
    """
    keypoints = keypoints_of(sequence, robot)
    recording = sequence.recording(options.rate_hz, options.masks)
    add_m = np.full(len(sequence), np.nan)
    segments = []
    stretches = _stretches(sequence, recording, keypoints, options)
    for frames in tqdm(stretches, desc=f"{sequence.folder.name}: segments"):
        segment = _solve(recording, robot, keypoints, frames, options)
        segments.append(segment)
        if segment.T_camera_base is not None:
            part = slice(frames.start, frames.stop)
            estimated = se3.transform(segment.T_camera_base, keypoints.in_base[part])
            add_m[part] = average_distance(estimated, keypoints.in_camera[part])
    camera = sequence.camera
    return Evaluation(
        name=sequence.folder.name,
        names=sequence.names,
        segments=tuple(segments),
        add_m=add_m,
        in_frame=keypoints_in_frame(sequence.projections, camera.width, camera.height),
        floor_m=float(np.median(keypoints.misfit_m)),
        unit=keypoints.unit,
    )


def _stretches(
    sequence: NddsSequence, recording: Recording, keypoints: Keypoints, options: EvaluationOptions
) -> list[range]:
    if options.segments == NONE:
        return [range(len(sequence))]
    if options.segments == ANNOTATIONS:
        return still_by_annotations(keypoints.T_camera_base)
    step = max(1, round(LOOKED_AT_EVERY_S * options.rate_hz))
    with tqdm(total=len(sequence), desc=f"{sequence.folder.name}: camera") as bar:
        return still_by_images(recording, step, lambda done, _: bar.update(done - bar.n))


def _solve(
    recording: Recording,
    robot: Robot,
    keypoints: Keypoints,
    frames: range,
    options: EvaluationOptions,
) -> Segment:
    began = time.perf_counter()
    T: NDArray[np.float64] | None = None
    status: str = REFUSED
    reasons: tuple[str, ...] = ()
    evidence: tuple[EvidenceChoice, ...] = ()
    annotated = keypoints.T_camera_base[frames.start : frames.stop]
    middle = annotated[len(annotated) // 2]
    rotation_deg = position_mm = None
    try:
        part = recording.subset(np.array(frames[:: options.every]))
        calibration = calibrate(part, robot, settings=without_clock(options.settings)).calibration
    except CalibAllError as error:
        reasons = (str(error),)
    else:
        T, verdict = calibration.T_camera_base, calibration.verdict
        status, reasons = verdict.status, verdict.reasons
        evidence = calibration.provenance.evidence
        rotation_deg, position_m = se3.difference(T, middle)
        position_mm = 1e3 * position_m
    motion = max(se3.difference(pose, middle)[1] for pose in annotated)
    seconds = time.perf_counter() - began
    return Segment(
        frames, status, reasons, T, rotation_deg, position_mm, 1e3 * motion, seconds, evidence
    )


def without_clock(settings: Settings) -> Settings:
    """Return settings that do not estimate what a nominal frame rate cannot tell."""
    refinement = replace(settings.refinement, lag=False, joint_offsets=False)
    return replace(settings, refinement=refinement)
