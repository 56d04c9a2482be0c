# SPDX-License-Identifier: Apache-2.0
"""The grid of the robustness benchmark: what is varied, one thing at a time, and in which order.

Every recording has slightly imperfect masks, as a good segmenter makes them, and nothing else wrong
but the one factor of its cell. It holds as many images as the cell says, all of them fitted, unless
a mark is to be followed through a whole video.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import fault_images, fault_masks, fault_models
from benchmarks.arm_models import arm_models
from benchmarks.faults import IMAGES, MASKS, fault_named
from benchmarks.takes import Take
from benchmarks.trial_scenes import BaseScene, SceneSpec
from benchmarks.trials import Row

TRACK = "track"
ROUTES = (MASKS, IMAGES, TRACK)
# The noise of the scenes' own images: between 1 and 3.
OWN_NOISE = 2.0
GOOD_MASKS = 0.5
# Seeds from here on: of these scenes those of all robots are the verdict benchmark's as well.
FIRST_SEED = 7
SEEDS = 12
Spoil = Callable[[Take, float, np.random.Generator], Take]


def _untouched(take: Take, level: float, rng: np.random.Generator) -> Take:
    return take


def _masks_spoiled(take: Take, level: float, rng: np.random.Generator) -> Take:
    return fault_masks.spoiled(take, level, rng) if level > 0.0 else take


def _noisier(take: Take, level: float, rng: np.random.Generator) -> Take:
    added = float(np.sqrt(max(level**2 - OWN_NOISE**2, 0.0)))
    return fault_images.noisy(take, added, rng) if added > 0.0 else take


def _marked(take: Take, level: float, rng: np.random.Generator) -> Take:
    marks = (_untouched, fault_models.marked, fault_models.mark_on_other_link)
    return (*marks, fault_models.mark_on_background)[int(level)](take, 2.0, rng)


@dataclass(frozen=True)
class Factor:
    """Something that may be wrong with a recording.

    Attributes:
        name: Unique.
        levels: From nothing to gross; the first is that of a sound recording, unless ``sound``.
        frames: For each route where it is tried, the numbers of images.
        label: How a level is written.
        spoil: Brings a recording to a level.
        sound: The level of a sound recording, which is not tried again for each factor; None where
            the factor needs a sound recording of its own.
    """

    name: str
    levels: tuple[float, ...]
    frames: dict[str, tuple[int, ...]]
    label: str
    spoil: Spoil = _untouched
    sound: float | None = 0.0

    def written(self, level: float) -> str:
        """Return a level as text."""
        if self.name == MARK:
            return MARKS[int(level)]
        return self.label.format(level).replace("%", " %")


SOUND, MASK_QUALITY, AMPLITUDE, MARK = "sound", "mask quality", "motion amplitude", "mark"
SCATTERED, BLOCK, DRIFT = "track lost, scattered", "track lost, one stretch", "track drifts"
MARKS = ("none", "on its link", "other link named", "on the background")
_ANY, _SOME, _NOT_ONE = (1, 5, 10, 30), (10, 30), (5, 10, 30)
_BOTH = {MASKS: _ANY, IMAGES: _SOME}
_LOST = (0.0, 0.1, 0.25, 0.5)

FACTORS = (
    Factor(SOUND, (0.0,), {MASKS: _ANY, IMAGES: _ANY}, "nothing", sound=None),
    Factor(
        MASK_QUALITY, (0.0, 0.5, 1.0, 2.0), {MASKS: _ANY}, "{:g}", _masks_spoiled, sound=GOOD_MASKS
    ),
    Factor(
        "visible share of the robot", (1.0, 0.5, 0.3, 0.15), _BOTH, "{:.0%}",
        fault_named("cut_off").inject_into, sound=1.0,
    ),
    Factor(AMPLITUDE, (1.0, 0.3, 0.1, 0.03), _BOTH, "{:.0%}", sound=1.0),
    Factor("image noise", (2.0, 6.0, 12.0, 20.0), {IMAGES: _NOT_ONE}, "{:g}", _noisier, sound=2.0),
    Factor("lag", (0.0, 60.0, 200.0, 400.0), _BOTH, "{:g} ms", fault_models.late),
    Factor(
        "focal error", (0.0, 0.005, 0.01, 0.02, 0.04), _BOTH, "{:.1%}",
        fault_models.wrong_focal_length,
    ),
    Factor(MARK, (0.0, 1.0, 2.0, 3.0), {MASKS: _SOME}, "", _marked, sound=None),
    Factor(SCATTERED, _LOST, {TRACK: _ANY}, "{:.0%}", sound=None),
    Factor(BLOCK, _LOST, {TRACK: _SOME}, "{:.0%}", sound=None),
    Factor(DRIFT, (0.0, 5.0, 10.0, 20.0, 40.0), {TRACK: _SOME}, "{:g} px", sound=None),
)  # fmt: skip
"""All of them; a level in the image route is not tried where it would take too long."""

# The image route takes four times as long: of the factors that the mask route tries at all levels,
# it tries these.
_LEVELS_FROM_IMAGES = {
    "visible share of the robot": (0.3,),
    AMPLITUDE: (0.1,),
    "lag": (200.0,),
    "focal error": (0.02,),
}


@dataclass(frozen=True)
class GridTrial:
    """One calibration, or one pose from a track.

    Attributes:
        route: "masks", "images", or "track" for the pose from a track alone.
        factor: Name of the factor.
        level: Its level.
        frames: Number of images.
        scene: The scene.
    """

    route: str
    factor: str
    level: float
    frames: int
    scene: SceneSpec

    @property
    def id(self) -> str:
        """Unique, the same in every run."""
        return f"{self.route}-{self.factor}-{self.level:g}-{self.frames}-{self.scene.name}"

    @property
    def rng(self) -> np.random.Generator:
        """The same at all levels, so that growing levels make the same thing graver."""
        return np.random.default_rng([self.scene.seed, zlib.crc32(self.factor.encode())])


@dataclass(frozen=True)
class GridRow(Row):
    """What came of a trial; ``fault`` and ``strength`` hold factor and level.

    Attributes:
        frames: Number of images.
    """

    frames: int = 0


def factor_named(name: str) -> Factor:
    """Return a factor by its name."""
    return next(factor for factor in FACTORS if factor.name == name)


def cells(routes: Collection[str] = ROUTES) -> list[tuple[str, Factor, float, int]]:
    """Return route, factor, level and number of images of every cell that is tried."""
    return [
        (route, factor, level, frames)
        for factor in FACTORS
        for route, counts in factor.frames.items()
        if route in routes
        for level in factor.levels
        if level != factor.sound and level in _levels(factor, route)
        for frames in counts
    ]


def _levels(factor: Factor, route: str) -> Sequence[float]:
    return _LEVELS_FROM_IMAGES.get(factor.name, factor.levels) if route == IMAGES else factor.levels


def grid_trials(routes: Collection[str] = ROUTES, rounds: int = 1) -> Iterator[GridTrial]:
    """List the trials so that a beginning of the list has something of every cell.

    In a third of a round each cell is tried with one robot, in the next with another one. Within
    a round all cells of a robot are tried in the same scene.
    """
    robots = list(arm_models())
    tried = cells(routes)
    for turn in range(rounds * len(robots)):
        seed = (FIRST_SEED + turn // len(robots)) % SEEDS
        for number in np.random.default_rng(turn).permutation(len(tried)):
            route, factor, level, frames = tried[number]
            spec = SceneSpec(robots[(turn + int(number)) % len(robots)], seed)
            if factor.name == AMPLITUDE:
                spec = replace(spec, amplitude=level)
            yield GridTrial(route, factor.name, level, frames, spec)


def grid_take(trial: GridTrial, scene: BaseScene) -> Take:
    """Return the recording of a trial of `calibrate`."""
    factor = factor_named(trial.factor)
    take = Take.of(scene)
    if factor.name != MARK:
        take = take.frames(evenly_spaced(len(take), trial.frames))
    take = factor.spoil(take, trial.level, trial.rng)
    if factor.name != MASK_QUALITY:
        usual = np.random.default_rng([trial.scene.seed, zlib.crc32(MASK_QUALITY.encode())])
        take = replace(_masks_spoiled(take, GOOD_MASKS, usual), detail=take.detail)
    return take


def evenly_spaced(available: int, wanted: int) -> NDArray[np.intp]:
    """Return ``wanted`` of ``available`` indices, the middle one of equal stretches."""
    return ((np.arange(wanted) + 0.5) * available / wanted).astype(np.intp)


def read_grid_rows(path: Path) -> list[GridRow]:
    """Read the rows of a file, none where it is absent; a last line cut short is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [GridRow(**json.loads(line)) for line in lines if line]
