# SPDX-License-Identifier: Apache-2.0
"""`calib_all annotate` on a whole LeRobot dataset, by the results of `calib_all dataset`."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.lerobot_features import annotation_features, annotation_source
from calib_all_ros.commands.annotate_options import AnnotateOptions
from calib_all_ros.commands.calibrated_inputs import annotated_inputs, load_calibrated
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.plan import EPISODES
from calib_all_ros.errors import CalibAllError
from calib_all_ros.lerobot.address import find_address
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.writing import write_features
from calib_all_ros.results.calibration import FILE_NAME

logger = logging.getLogger(__name__)


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
            return annotated_inputs(options, inputs)
        except CalibAllError as error:
            self._left_out[ref.name] = str(error)
            return None
