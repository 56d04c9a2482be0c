# SPDX-License-Identifier: Apache-2.0
"""One episode as seen by one camera: a name for it that any process can load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from calib_all_ros.input_files import InputFiles, InputSelection, shared_fields
from calib_all_ros.lerobot.address import LerobotAddress
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.solve_job import load_inputs

Kind = Literal["bag", "folder", "lerobot"]


@dataclass(frozen=True)
class DatasetSelection:
    """What is read of every episode.

    Attributes:
        common: Robot and streams, the same for all.
        intrinsics: Files of intrinsics by the name of the camera; they go before ``common.camera``.
    """

    common: InputSelection = field(default_factory=InputSelection)
    intrinsics: tuple[tuple[str, Path], ...] = ()

    def of(self, camera: str | None) -> InputSelection:
        """Return what is read of the episodes of one camera."""
        own = dict(self.intrinsics).get(camera or "")
        return self.common if own is None else replace(self.common, camera=own)


@dataclass(frozen=True)
class EpisodeRef:
    """An episode and a camera; small, so that it can be sent to another process.

    Attributes:
        name: Unique within the dataset, a relative path for its results.
        kind: What it is read from: "bag", "folder" (of images, or an .npz) or "lerobot".
        path: Bag, recording, or LeRobot dataset.
        episode: Number of the episode of a LeRobot dataset.
        camera: Image topic of a bag, or feature of a LeRobot dataset; None where there is but one.
        reading: How a LeRobot dataset is read, as in its address ("units", "joints", "gripper").
    """

    name: str
    kind: Kind
    path: Path
    episode: int | None = None
    camera: str | None = None
    reading: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> str:
        """What `calib_all calibrate` takes for RECORDING."""
        if self.kind != "lerobot":
            return str(self.path)
        reading: Mapping[str, str] = dict(self.reading)
        return str(LerobotAddress(self.path, self.episode, self.camera, **reading))

    def input_files(self, selection: DatasetSelection) -> InputFiles:
        """Return what to read."""
        files = InputFiles(
            Path(self.source), **shared_fields(InputSelection, selection.of(self.camera))
        )
        if self.kind == "bag" and self.camera is not None:
            files = replace(files, image_topic=self.camera)
        return files

    def load(self, selection: DatasetSelection) -> tuple[Recording, Robot]:
        """Read the episode; images are decoded when they are asked for.

        Raises:
            CalibAllError: It cannot be read, or has no robot description.
        """
        return load_inputs(self.input_files(selection))
