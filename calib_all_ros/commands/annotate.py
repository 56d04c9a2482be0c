# SPDX-License-Identifier: Apache-2.0
"""`calib_all annotate`: label every frame of a recording by its calibration."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from calib_all_ros import __version__
from calib_all_ros.annotation.bag import write_annotated_bag
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.folder import PARTS, write_folder
from calib_all_ros.annotation.frames import AnnotatedRecording, annotated_recording
from calib_all_ros.annotation.lerobot_features import annotation_features, annotation_source
from calib_all_ros.commands.calibrated import CalibratedInputs, load_calibrated
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import answer
from calib_all_ros.commands.result_options import AnnotateOptions
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.plan import EPISODES
from calib_all_ros.errors import EXIT_OK, CalibAllError
from calib_all_ros.lerobot.address import find_address
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.writing import write_features
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.results.calibration import FILE_NAME
from calib_all_ros.results.run_log import RunLog

logger = logging.getLogger(__name__)

_PICTURES = frozenset(("depth_png", "depth_npy", "masks", "gripper"))
_GROUPS = {"depth": ("depth_png", "depth_npy")}


def run(options: AnnotateOptions, log: RunLog) -> int:
    """Annotate a recording, or a whole LeRobot dataset, and print what was written.

    Raises:
        CalibAllError: The input cannot be used, or the output cannot be written.
    """
    if options.out is options.bag is options.lerobot is None:
        raise AnnotationError("nothing to write: give --out DIR, --bag OUT or --lerobot OUT")
    parts = _parts(options)
    if is_whole_dataset(options):
        return _run_on_dataset(options, parts)
    if options.out is not None:
        _require_empty(options.out)
    with ExitStack() as stack:
        folder = None
        if options.out is not None:
            # The folder comes first: that it cannot be written must not turn up after the work.
            folder = stack.enter_context(whole_or_nothing(options.out))
        bars = stack.enter_context(StageBars(quiet=options.silent))
        bars("read", 0.0)
        inputs = load_calibrated(options)
        bars("read", 1.0)
        annotated = _annotated(options, inputs)
        if folder is not None:
            write_folder(folder, annotated, parts, _provenance(inputs), bars)
        if options.bag is not None:
            notes = write_annotated_bag(options.bag, annotated, bars)
            annotated = replace(annotated, notes=(*annotated.notes, *notes))
        if options.lerobot is not None:
            # Only who annotates a LeRobot dataset needs what that needs.
            from calib_all_ros.annotation.lerobot_features import write_annotated_dataset

            pictures = not _PICTURES.isdisjoint(parts)
            write_annotated_dataset(options.lerobot, annotated, pictures=pictures, on_progress=bars)
        for note in annotated.notes:
            logger.info(note)
        if folder is not None:
            log.copy_to(folder)
    summary = _summary(options, annotated, inputs)
    answer(options, summary, _as_text(summary))
    return EXIT_OK


def _run_on_dataset(options: AnnotateOptions, parts: Sequence[str]) -> int:
    with StageBars(quiet=options.silent) as bars:
        pictures = not _PICTURES.isdisjoint(parts)
        dataset = annotate_dataset(options, bars, pictures=pictures)
    total = len(dataset.annotated) + len(dataset.left_out)
    lines = [
        f"episodes annotated {len(dataset.annotated)} of {total}",
        f"written            {options.lerobot}",
    ]
    lines += [f"- {name} is not annotated: {why}" for name, why in dataset.left_out.items()]
    document = {
        "recording": str(options.recording),
        **asdict(dataset),
        "written": [options.lerobot],
    }
    answer(options, document, "\n".join(lines))
    return EXIT_OK


def _parts(options: AnnotateOptions) -> tuple[str, ...]:
    if options.only is None:
        return tuple(PARTS)
    parts = [name for given in options.only for name in _GROUPS.get(given, (given,))]
    if unknown := [name for name in parts if name not in PARTS]:
        raise AnnotationError(
            f"no part '{unknown[0]}' for --only; there are: {', '.join((*_GROUPS, *PARTS))}"
        )
    return tuple(parts)


def _require_empty(out: Path) -> None:
    """Make sure that frames of an earlier run do not stay among the new ones."""
    if out.is_dir() and any(out.iterdir()):
        raise AnnotationError(f"{out} is not empty: name a new folder")


def _provenance(inputs: CalibratedInputs) -> dict[str, Any]:
    calibration = inputs.calibration
    return {
        "recording": inputs.recording.source,
        "fingerprint": inputs.recording.fingerprint,
        "calibration": inputs.source,
        "verdict": calibration.verdict.status,
        "robot": inputs.robot.name,
        "base_frame": calibration.robot.base_frame,
        "package_version": __version__,
    }


def _summary(
    options: AnnotateOptions, annotated: AnnotatedRecording, inputs: CalibratedInputs
) -> dict[str, Any]:
    asked = options.out, options.bag, options.lerobot
    written = [path for path in asked if path is not None]
    return {
        "recording": inputs.recording.source,
        "verdict": inputs.calibration.verdict.status,
        "frames": len(annotated.frames),
        "frames_in_recording": len(inputs.recording),
        "eef_link": annotated.end_effector.link,
        "gripper_links": list(annotated.end_effector.gripper_links),
        "notes": list(annotated.notes),
        "written": [str(path) for path in written],
    }


def _as_text(summary: dict[str, Any]) -> str:
    lines = [
        f"frames annotated   {summary['frames']} of {summary['frames_in_recording']}",
        f"end-effector       {summary['eef_link']}",
        f"gripper            {', '.join(summary['gripper_links'])}",
        f"written            {', '.join(summary['written'])}",
    ]
    return "\n".join([*lines, *(f"- {note}" for note in summary["notes"])])


def _annotated(options: AnnotateOptions, inputs: CalibratedInputs) -> AnnotatedRecording:
    """Return what is annotated, with the notes of both.

    Raises:
        CalibAllError: They do not go together, or a link that is named is unknown.
    """
    annotated = annotated_recording(
        inputs.recording,
        inputs.robot,
        inputs.calibration,
        eef_link=options.eef_link,
        gripper_links=options.gripper_links,
    )
    annotated = replace(annotated, notes=(*inputs.notes, *annotated.notes))
    return annotated.every(options.every)


@dataclass(frozen=True)
class AnnotatedDataset:
    """What became of the episodes of a dataset.

    Attributes:
        annotated: Names of the episodes and cameras that were annotated.
        left_out: Why the others were not, by their names.
    """

    annotated: tuple[str, ...]
    left_out: Mapping[str, str]


def is_whole_dataset(options: AnnotateOptions) -> bool:
    """Return whether a LeRobot dataset is meant, not one episode, with a result of each."""
    if options.recording is None or not (Path(options.calibration) / EPISODES).is_dir():
        return False
    address = find_address(options.recording)
    return address is not None and address.episode is None


def annotate_dataset(
    options: AnnotateOptions, bars: StageBars, *, pictures: bool = True
) -> AnnotatedDataset:
    """Write a copy of a LeRobot dataset with every episode and camera annotated that can be.

    One episode is held at a time. What is left out keeps the annotations that it has, or gets
    placeholders.

    Args:
        options: What to do; the calibration is a folder that `calib_all dataset` wrote.
        bars: Shows the progress.
        pictures: Whether depth and masks are written, too.

    Raises:
        AnnotationError: Another output than a dataset is asked for, or no episode can be annotated.
        CalibAllError: The dataset cannot be read or written.
    """
    if options.lerobot is None or options.out is not None or options.bag is not None:
        raise AnnotationError(
            f"{options.recording} is a whole dataset, which only --lerobot OUT takes: name one "
            "episode for a folder or a bag (DATASET#episode=N,camera=KEY)"
        )
    assert options.recording is not None
    refs = find_episodes(options.recording)
    dataset = LerobotDataset.open(refs[0].path)
    left_out: dict[str, str] = {}
    done = itertools.count(1)

    def report() -> None:
        bars("dataset", next(done) / len(refs))

    sources = []
    for camera in dict.fromkeys(ref.camera for ref in refs):
        assert camera is not None
        own = [ref for ref in refs if ref.camera == camera]
        loader = _Loader(options, own, left_out, report)
        first = loader.first()
        if first is None:
            continue
        features = annotation_features(
            camera,
            first.camera.width,
            first.camera.height,
            pictures=pictures,
            links=first.link_names,
        )
        sources.append(annotation_source(dataset, camera, features, loader.annotated))
    if not sources:
        name, why = next(iter(left_out.items()))
        raise AnnotationError(f"no episode can be annotated; the first one is {name}: {why}")
    write_features(dataset, options.lerobot, sources)
    for name, why in left_out.items():
        logger.warning("%s is not annotated: %s", name, why)
    names = tuple(ref.name for ref in refs if ref.name not in left_out)
    return AnnotatedDataset(names, left_out)


class _Loader:
    """Brings the episodes of one camera and their results together, one at a time."""

    def __init__(
        self,
        options: AnnotateOptions,
        refs: Sequence[EpisodeRef],
        left_out: dict[str, str],
        report: Callable[[], None],
    ) -> None:
        """Take the episodes; those that cannot be annotated are added to ``left_out``."""
        self._options, self._left_out, self._report = options, left_out, report
        self._refs = {ref.episode: ref for ref in refs}

    def first(self) -> AnnotatedRecording | None:
        """Return the first episode that can be annotated, None where none can."""
        return next((found for ref in self._refs.values() if (found := self._loaded(ref))), None)

    def annotated(self, episode: Episode) -> AnnotatedRecording | None:
        """Return an episode with its calibration, None where it has none that can be used."""
        self._report()
        ref = self._refs[episode.index]
        found = self._loaded(ref)
        for note in () if found is None else found.notes:
            logger.info("%s: %s", ref.name, note)
        return found

    def _loaded(self, ref: EpisodeRef) -> AnnotatedRecording | None:
        if ref.name in self._left_out:
            return None
        options = self._options
        result = Path(options.calibration) / EPISODES / ref.name / FILE_NAME
        try:
            if not result.is_file():
                raise AnnotationError(f"there is no {result}")
            inputs = load_calibrated(
                replace(options, recording=Path(ref.source), calibration=str(result))
            )
            return _annotated(options, inputs)
        except CalibAllError as error:
            self._left_out[ref.name] = str(error)
            return None
