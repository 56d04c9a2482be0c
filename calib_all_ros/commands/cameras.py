# SPDX-License-Identifier: Apache-2.0
"""`calib_all cameras`: calibrate several cameras of one recording, by themselves and together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np

from calib_all_ros import __version__
from calib_all_ros.annotation.bag_topics import camera_name
from calib_all_ros.camera_set import CameraSet, SeparateResult, refine_cameras
from calib_all_ros.commands.options import CamerasOptions, CommandError, settings_of, stated_inputs
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import Rows, answer, listed, pose_rows, table, verdict_rows
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.errors import CalibAllError, exit_code_of
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.input_files import MASK_SOURCES, InputFiles
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.cameras_file import (
    FILE_NAME,
    CameraRecord,
    CamerasResult,
    RelativePoseRecord,
)
from calib_all_ros.results.records import Covariance, Verdict
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.settings import Settings
from calib_all_ros.solve_job import CalibrationJob, load_images

logger = logging.getLogger(__name__)

_LEROBOT_PREFIX = "observation.images."


def run(options: CamerasOptions, log: RunLog) -> int:
    """Calibrate the cameras, write the results and print the report; return the exit code.

    Raises:
        CalibAllError: The input cannot be used, no camera can be calibrated, or the results cannot
            be written.
    """
    settings = settings_of(options)
    inputs = camera_inputs(options)
    clocks = clock_groups(options.clocks, inputs)
    earlier = tuple(f"{each.name}/{pattern}" for each in inputs for pattern in RESULT_PICTURES)
    # The folder comes first: that it cannot be written must not turn up after the work.
    with (
        whole_or_nothing(options.out, earlier) as folder,
        StageBars(quiet=options.silent) as bars,
    ):
        # All that cannot be read shows before the first solve.
        cameras = [
            _CameraJob(given, bars, f"{number}/{len(inputs)}")
            for number, given in enumerate(inputs, start=1)
        ]
        solved, separate, failures = _calibrated(cameras, settings)
        together = _with_failures(refine_cameras(separate, clocks), failures)
        result = _write(folder, solved, together)
        log.copy_to(folder)
    document = {**result.document(), "file": options.out / FILE_NAME}
    answer(options, document, cameras_table(result, options.out))
    return exit_code_of(result.verdict.status)


class CameraInput(NamedTuple):
    """One camera: its name, where its images are, what to read, and how masks are made."""

    name: str
    topic: str
    files: InputFiles
    mask_source: str | None


def camera_inputs(options: CamerasOptions) -> list[CameraInput]:
    """Return the cameras to calibrate.

    Raises:
        CommandError: The recording has no two cameras, or the arguments for each camera are not as
            many as the cameras.
        CalibAllError: The recording cannot be read.
    """
    found = find_episodes(options.recording)
    if len({(ref.path, ref.episode) for ref in found}) > 1:
        raise CommandError(
            f"{options.recording} holds several recordings ({found[0].name}, {found[1].name}, ...):"
            " name one of them, or use `calib_all dataset`"
        )
    if found[0].kind == "bag" and found[0].camera is None:
        # Opening it again says what is wrong with it, or that it has no images.
        load_images(InputFiles(**stated_inputs(options)))
    topics = options.image_topics or tuple(ref.camera for ref in found if ref.camera)
    if len(topics) < 2:
        listed = f"only the images of {topics[0]}" if topics else "the images of one camera only"
        raise CommandError(
            f"{options.recording} is read for {listed}: name several cameras by --image-topic, or "
            "use `calib_all calibrate`"
        )
    if len(set(topics)) < len(topics):
        raise CommandError("one --image-topic is named twice: name each camera once")
    each = [options.camera_info_topics, options.camera_files, options.camera_masks[1:]]
    if any(each) and not options.image_topics:
        raise CommandError(
            "what is given for each camera goes by the order of --image-topic: name the cameras, "
            f"too: {', '.join(topics)}"
        )
    infos = _for_each(options.camera_info_topics, topics, "--camera-info-topic")
    intrinsics = _for_each(options.camera_files, topics, "--camera")
    once = len(options.camera_masks) == 1
    masks = _for_each(options.camera_masks * (len(topics) if once else 1), topics, "--masks")
    return [
        _input(options, found[0], topic, name, info, file, mask)
        for topic, name, info, file, mask in zip(
            topics, _names(topics), infos, intrinsics, masks, strict=True
        )
    ]


def clock_groups(clocks: Sequence[str], inputs: Sequence[CameraInput]) -> list[list[str]] | None:
    """Return the names of the cameras on each clock that is shared, None to find out.

    Args:
        clocks: The arguments of --clock.
        inputs: The cameras, by whose names or topics a clock's cameras are named.

    Raises:
        CommandError: A camera is unknown, or on two clocks.
    """
    if list(clocks) in ([], ["auto"]):
        return None
    if list(clocks) == ["own"]:
        return []
    if list(clocks) == ["one"]:
        return [[each.name for each in inputs]]
    known = {key: each.name for each in inputs for key in (each.name, each.topic)}
    groups, taken = [], set[str]()
    for clock in clocks:
        group = []
        for asked in (part.strip() for part in clock.split(",")):
            if asked not in known:
                raise CommandError(
                    f"--clock {clock}: there is no camera '{asked}'; say auto, one, own, or "
                    f"several of {', '.join(each.name for each in inputs)}"
                )
            if known[asked] in taken:
                raise CommandError(f"--clock {clock}: camera '{asked}' is on a clock already")
            taken.add(known[asked])
            group.append(known[asked])
        groups.append(group)
    return groups


def _for_each(
    given: Sequence[Path] | Sequence[str], topics: Sequence[str], option: str
) -> Sequence[Path | str | None]:
    if given and len(given) != len(topics):
        raise CommandError(
            f"{option} is given {len(given)} time(s) for {len(topics)} cameras: give it once for "
            "each, in the order of --image-topic"
        )
    return given or [None] * len(topics)


def _input(
    options: CamerasOptions,
    ref: EpisodeRef,
    topic: str,
    name: str,
    info: Path | str | None,
    file: Path | str | None,
    masks: Path | str | None,
) -> CameraInput:
    source = str(masks) if masks in MASK_SOURCES else None
    files = replace(
        InputFiles(**stated_inputs(options)),
        recording=Path(replace(ref, camera=topic).source),
        image_topic=topic,
        camera_info_topic=None if info is None else str(info),
        camera=None if file is None else Path(file),
        masks="auto" if masks is None or source else str(masks),
    )
    return CameraInput(name, topic, files, source)


def _names(topics: Sequence[str]) -> list[str]:
    """Return short names where they tell the cameras apart, else what all of the topics say."""
    short = [camera_name(topic.removeprefix(_LEROBOT_PREFIX)) for topic in topics]
    if len(set(short)) == len(short):
        return short
    return [topic.strip("/").replace("/", "_") for topic in topics]


class _CameraJob:
    """One camera on its way from the recording to its folder of results."""

    def __init__(self, given: CameraInput, bars: StageBars, place: str) -> None:
        """Read its part of the recording."""
        self.given = given
        self._bars, self._place = bars, place
        self._evidence: Evidence | None = None
        with _naming(given):
            self.job = CalibrationJob.read(given.files, self._report)

    def calibrate(self, settings: Settings) -> SeparateResult:
        """Calibrate it by itself."""
        with _naming(self.given):
            run = self.job.calibrate(settings)
        self._evidence = run.evidence
        return SeparateResult(self.given.name, run.calibration, run.solution)

    def save(self, folder: Path, calibration: Calibration) -> Calibration:
        """Write a calibration of this camera, and return what was written."""
        return self.job.save(folder, calibration, self._evidence)

    def _report(self, stage: str, share: float) -> None:
        self._bars(f"{self._place} {stage}", share)


@contextmanager
def _naming(given: CameraInput) -> Iterator[None]:
    """Say in an error which camera it is about."""
    try:
        yield
    except CalibAllError as error:
        raise CommandError(f"camera {given.name}: {error}") from error


def _calibrated(
    cameras: Sequence[_CameraJob], settings: Settings
) -> tuple[list[_CameraJob], list[SeparateResult], list[CommandError]]:
    """Calibrate each camera by itself: those that could be, their results, and the errors.

    Raises:
        CommandError: That of the first camera, where none can be calibrated.
    """
    solved: list[_CameraJob] = []
    separate: list[SeparateResult] = []
    failures: list[CommandError] = []
    for camera in cameras:
        try:
            separate.append(camera.calibrate(_with_masks(settings, camera.given)))
            solved.append(camera)
        except CommandError as error:
            # What the other cameras give is not lost with it.
            logger.warning(error)
            failures.append(error)
    if not separate:
        raise failures[0]
    return solved, separate, failures


def _with_failures(together: CameraSet, failures: Sequence[CommandError]) -> CameraSet:
    """Say which cameras have no result; without one they count as rejected."""
    if not failures:
        return together
    sentences = tuple(str(error) for error in failures)
    return replace(
        together,
        verdict=Verdict("rejected", (*sentences, *together.verdict.reasons)),
        notes=(*together.notes, *(f"{sentence}; it has no folder" for sentence in sentences)),
    )


def _with_masks(settings: Settings, given: CameraInput) -> Settings:
    if given.mask_source is None:
        return settings
    return replace(settings, masks=replace(settings.masks, source=given.mask_source))


def _write(folder: Path, cameras: Sequence[_CameraJob], together: CameraSet) -> CamerasResult:
    records = []
    for each in cameras:
        name = each.given.name
        calibration = each.save(folder / name, together.calibrations[name])
        records.append(
            CameraRecord(
                name=name,
                image_topic=each.given.topic,
                folder=name,
                verdict=calibration.verdict.status,
                frame=calibration.camera.frame_id,
                T_base_camera=calibration.T_base_camera,
                covariance=calibration.covariance,
                lag_ms=calibration.lag_ms,
            )
        )
    first = cameras[0]
    result = CamerasResult(
        recording=first.job.recording.source,
        base_frame=first.job.robot.kinematics.base_frame,
        verdict=together.verdict,
        cameras=tuple(records),
        joint=together.joint,
        relative_poses=together.relative_poses,
        notes=together.notes,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        package_version=__version__,
    )
    result.save(folder)
    return result


def cameras_table(result: CamerasResult, out: Path) -> str:
    """Return a table: verdict, each camera, what they share, relative poses, what to paste."""
    rows = verdict_rows(result.verdict.status, result.verdict.reasons)
    for camera in result.cameras:
        rows.append(("Camera", f"{camera.name}: {camera.verdict.upper()} ({camera.image_topic})"))
        rows += _uncertain_pose_rows(camera.T_base_camera, camera.covariance)
        if camera.lag_ms is not None:
            rows.append(("  lag", f"{camera.lag_ms:+.1f} ms"))
    joint = result.joint
    if joint is not None:
        rows.append(("Together", ", ".join(joint.cameras)))
        if joint.shared is not None:
            agreement = f"p = {joint.shared.p_value:.2g}: how often chance alone sets the cameras"
            rows.append(
                ("  agreement", f"{agreement}' own results as far apart in what they share")
            )
        if joint.joint_offsets is not None:
            offsets = (f"{name} {value:+.5f}" for name, value in joint.joint_offsets.items())
            rows.append(("  offsets", ", ".join(offsets)))
    for pair in result.relative_poses:
        rows += _pair_rows(pair)
    rows += listed("Notes", result.notes, "- ")
    rows += listed("Static TF", result.static_transforms())
    folders = [out / camera.folder for camera in result.cameras]
    return table(rows + listed("Files", [out / FILE_NAME, *folders]))


def _pair_rows(pair: RelativePoseRecord) -> Rows:
    head = ("Relative", f"{pair.b} as seen from {pair.a} ({pair.b_frame} in {pair.a_frame})")
    return [head, *_uncertain_pose_rows(pair.T_a_b, pair.covariance)]


def _uncertain_pose_rows(T: np.ndarray, covariance: Covariance | None) -> Rows:
    rows = pose_rows(T)
    if covariance is not None:
        sigma = np.sqrt(np.diag(covariance.matrix))
        position_mm = " ".join(f"{1e3 * value:.2f}" for value in sigma[:3])
        rotation_deg = " ".join(f"{value:.3f}" for value in np.degrees(sigma[3:]))
        rows.append(("  sigma", f"{position_mm} mm, {rotation_deg} deg"))
    return rows
