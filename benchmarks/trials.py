# SPDX-License-Identifier: Apache-2.0
"""Trials of `calibrate` on recordings with one fault each: which ones, running one, its record."""

from __future__ import annotations

import json
import os
import time
import traceback
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arm_models import arm_models
from benchmarks.faults import FAULTS, IMAGES, ROUTES, Fault, fault_named, inject
from benchmarks.takes import Take
from benchmarks.trial_scenes import PATH_TRACED, SceneSpec, base_scene, path_traced_spec
from calib_all_ros.calibration import calibrate
from calib_all_ros.errors import CalibAllError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.settings import Settings
from calib_all_ros.solving.pose_errors import pose_difference, pose_errors

SCENES = 12
# Every so many rounds the image route is tried on a path-traced recording, if there are any.
PATH_TRACED_EVERY = 5
REFUSED, FAILED = "refused", "failed"


@dataclass(frozen=True)
class Trial:
    """One calibration to try.

    Attributes:
        route: "masks" or "images".
        fault: Name of the fault.
        strength: How strong it is.
        scene: The scene that it is injected into.
    """

    route: str
    fault: str
    strength: float
    scene: SceneSpec

    @property
    def id(self) -> str:
        """Unique, the same in every run."""
        return f"{self.route}-{self.fault}-{self.strength:g}-{self.scene.name}"


@dataclass(frozen=True)
class Row:
    """What came of a trial.

    Attributes:
        trial: Its id.
        route: "masks" or "images".
        robot: Name of the robot.
        scene: Name of the scene.
        scene_seed: Even ones serve to calibrate the covariance, odd ones to test it.
        fault: Name of the fault.
        cause: Cause of the fault in this route; "clean" or "harmless" for none.
        strength: How strong it was.
        detail: What the seed chose.
        status: "accepted", "warning", "rejected"; "refused" where `calibrate` raised a
            `CalibAllError`; "failed" where it raised anything else.
        causes: Causes named by the verdict, the likeliest first.
        reasons: Sentences of the verdict or the error.
        rotation_deg: Error of the rotation; None where there is no pose or none can be right.
        position_mm: Error of the camera's position.
        add_mm: Mean error of the robot's surface points.
        pose_error: (6,) as in `results.records.Covariance`.
        covariance: (6, 6), None where not estimated.
        quality: The calibration's figures.
        lag_ms: The estimated lag.
        seconds: Time of `calibrate`.
        stage_times_s: Time of its stages.
    """

    trial: str
    route: str
    robot: str
    scene: str
    scene_seed: int
    fault: str
    cause: str
    strength: float
    detail: str
    status: str
    causes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    rotation_deg: float | None = None
    position_mm: float | None = None
    add_mm: float | None = None
    pose_error: tuple[float, ...] | None = None
    covariance: tuple[tuple[float, ...], ...] | None = None
    quality: dict[str, float] = field(default_factory=dict)
    lag_ms: float | None = None
    seconds: float = 0.0
    stage_times_s: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Row:
        """Read what `to_json` wrote."""
        return cls(**json.loads(line))


def all_trials(
    routes: Collection[str] = ROUTES, faults: Collection[str] | None = None
) -> Iterator[Trial]:
    """List all trials; each beginning of the list has every fault and strength about as often.

    A round tries every strength of every fault in every route once, in scenes whose seeds are even
    in half of the cases.
    """
    combinations = [
        (route, fault, strength)
        for fault in FAULTS
        for strength in fault.strengths
        for route in fault.routes
    ]
    for turn in range(SCENES):
        order = np.random.default_rng(turn).permutation(len(combinations))
        for number in order:
            route, fault, strength = combinations[number]
            if route not in routes or (faults is not None and fault.name not in faults):
                continue
            yield Trial(route, fault.name, strength, _scene(fault, route, strength, turn))


def _scene(fault: Fault, route: str, strength: float, turn: int) -> SceneSpec:
    """Return the scene of a turn: seeds count up, so every other one is even; robots take turns.

    All strengths of a fault share a turn's scene; mere copies are tried in different ones.
    """
    robots = list(arm_models())
    if fault.in_other_scenes:
        copy = fault.strengths.index(strength)
        place = copy * SCENES + (turn + copy) % SCENES
        seed = place % SCENES + SCENES * (copy // len(robots))
    else:
        place = turn + zlib.crc32(f"{fault.name} {route}".encode())
        seed = place % SCENES
    traced = route == IMAGES and "panda" in robots
    if traced and not fault.needs_own_scene and place % PATH_TRACED_EVERY == 0:
        return path_traced_spec(list(PATH_TRACED)[place // PATH_TRACED_EVERY % len(PATH_TRACED)])
    robot = robots[(place + place // SCENES) % len(robots)]
    return fault.scene(SceneSpec(robot, seed), strength)


def run_trial(trial: Trial, cache_folder: Path) -> Row:
    """Run one trial; whatever is raised becomes part of the row."""
    fault = fault_named(trial.fault)
    return Row(
        trial=trial.id,
        route=trial.route,
        robot=trial.scene.robot,
        scene=trial.scene.name,
        scene_seed=trial.scene.seed,
        fault=fault.name,
        cause=fault.cause_in(trial.route),
        strength=trial.strength,
        **attempt(
            lambda: inject(fault, trial.strength, base_scene(trial.scene, cache_folder)),
            with_masks=trial.route != IMAGES,
        ),
    )


def attempt(
    make_take: Callable[[], Take], with_masks: bool, settings: Settings | None = None
) -> dict[str, Any]:
    """Calibrate and compare with the truth; return the fields of `Row` that tell what came of it.

    Args:
        make_take: Returns the recording; what it raises is told as well.
        with_masks: Whether masks are handed over.
        settings: The defaults where None.
    """
    detail = ""
    try:
        take = make_take()
        detail = take.detail
        recording = take.recording(with_masks)
        began = time.perf_counter()
        try:
            calibration = calibrate(
                recording, take.robot, mark=take.mark, settings=settings
            ).calibration
        except CalibAllError as error:
            cause = getattr(error, "cause", None)
            outcome: dict[str, Any] = {
                "status": REFUSED,
                "causes": (cause,) if cause else (),
                "reasons": (str(error),),
            }
        else:
            outcome = _outcome(calibration, take)
        return {**outcome, "detail": detail, "seconds": time.perf_counter() - began}
    except Exception:  # A benchmark goes on, and shows it.
        trace = traceback.format_exc(limit=-4)
        return {"detail": detail, "status": FAILED, "reasons": (trace,)}


def _outcome(calibration: Calibration, take: Take) -> dict[str, Any]:
    verdict, covariance = calibration.verdict, calibration.covariance
    outcome: dict[str, Any] = {
        "status": verdict.status,
        "causes": tuple(getattr(verdict, "causes", ())),
        "reasons": verdict.reasons,
        "covariance": None if covariance is None else covariance.matrix.tolist(),
        "quality": {name: float(value) for name, value in calibration.quality.items()},
        "lag_ms": calibration.lag_ms,
        "stage_times_s": calibration.provenance.stage_times_s,
    }
    if not take.truths:
        return outcome
    scene = take.scene
    found = calibration.T_camera_base
    errors = [(pose_errors(found, T, scene.robot, scene.motion), T) for T in take.truths]
    nearest, truth = min(errors, key=lambda pair: pair[0].add_mm)
    return outcome | {
        "rotation_deg": nearest.rotation_deg,
        "position_mm": nearest.position_mm,
        "add_mm": nearest.add_mm,
        "pose_error": pose_difference(found, truth).vector.tolist(),
    }


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file, none where it is absent; a last line cut short is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [Row.from_json(line) for line in lines if line]


def append_row(path: Path, row: Row) -> None:
    """Append a row, so that it is there even if the next trial ends the process."""
    with path.open("a", encoding="utf-8") as file:
        file.write(row.to_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
