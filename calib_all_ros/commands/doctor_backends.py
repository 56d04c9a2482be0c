# SPDX-License-Identifier: Apache-2.0
"""Which ways there are here to get the evidence of a calibration, and what the others lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from calib_all_ros.commands.doctor_imports import Trial
from calib_all_ros.models.checkpoints import (
    MODELS,
    FoundCheckpoint,
    Unusable,
    how_to_get,
    recommended,
)
from calib_all_ros.models.libraries import how_to_install

# What `backends` has to know of: modules of the core and of the extras.
CORE_MODULES = ("cv2", "numba")
EXTRA_MODULES = {
    "torch": "foundation",
    "transformers": "foundation",
    "cotracker.predictor": "foundation",
    "nvdiffrast.torch": "cuda",
}


@dataclass(frozen=True)
class Backend:
    """One way to do one part of the work.

    Attributes:
        part: ``mark``, ``tracking``, ``masks`` or ``rendering``.
        name: What it is called.
        available: Whether it can be used as things are.
        detail: What it works with; where it is not available, what is missing first.
        todo: The next thing to do to have it, None where it is there.
        checkpoint: The model, key of ``MODELS``, that this is to have a checkpoint of; None where
            it is something else.
    """

    part: str
    name: str
    available: bool
    detail: str
    todo: str | None = None
    checkpoint: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What the answer depends on.

    Attributes:
        trials: What came of importing ``CORE_MODULES`` and ``EXTRA_MODULES``.
        checkpoints: Those found, of each model the one to use first.
        unusable: What only looks like a checkpoint.
        folder: Where checkpoints are looked for.
        references: How many reference marks there are, None if that is not known.
        references_problem: Why the reference marks cannot be read, None if they can.
    """

    trials: Mapping[str, Trial]
    checkpoints: Mapping[str, Sequence[FoundCheckpoint]]
    unusable: Sequence[Unusable]
    folder: Path
    references: int | None
    references_problem: str | None = None


class _Lack(NamedTuple):
    """What is missing first, what to do about it, and the model if it is a checkpoint."""

    why: str
    todo: str
    checkpoint: str | None = None


def backends(here: Surroundings) -> tuple[Backend, ...]:
    """Return every way to do a part of the work, those without models first in each part."""
    return (
        _built_in(here, "mark", "given pixel", "cv2", "calib_all calibrate --mark U,V"),
        _mark_model(here),
        _built_in(here, "tracking", "Lucas-Kanade", "cv2", "where CoTracker3 is not"),
        _tracking_model(here),
        _built_in(here, "masks", "recorded", "cv2", "a topic or a folder, --masks"),
        _built_in(here, "masks", "from the images", "cv2", "what moves in them"),
        _mask_model(here),
        _built_in(here, "rendering", "CPU rasteriser", "numba", "on all cores"),
        _gpu_renderer(here),
    )


def _built_in(here: Surroundings, part: str, name: str, module: str, detail: str) -> Backend:
    if here.trials[module].works:
        return Backend(part, name, True, detail)
    return Backend(part, name, False, f"{module} cannot be imported", "see the core libraries")


def _mark_model(here: Surroundings) -> Backend:
    lack = _lack(here, ("torch", "transformers"), ("dinov2",))
    if lack is None and here.references_problem is not None:
        lack = _Lack(here.references_problem, "repair or remove that file")
    elif lack is None and here.references == 0:
        lack = _Lack(
            "no reference mark",
            "calib_all mark add PICTURE --pixel U,V --link LINK, once for all robots of that kind",
        )
    detail = _used(here, "dinov2")
    if here.references:
        detail += f", {here.references} reference mark(s)"
    return _backend("mark", "DINOv2", detail, lack)


def _tracking_model(here: Surroundings) -> Backend:
    models = ("cotracker3_offline", "cotracker3_online")
    there = tuple(model for model in models if here.checkpoints.get(model))
    lack = _lack(here, ("torch", "cotracker.predictor"), there or models[:1])
    detail = ", ".join(_used(here, model) for model in there)
    if there == models[1:]:
        detail += ", by --tracker cotracker_online"
    return _backend("tracking", "CoTracker3", detail, lack)


def _mask_model(here: Surroundings) -> Backend:
    lack = _lack(here, ("torch", "transformers"), ("sam2", "grounding_dino"))
    if lack is not None and lack.checkpoint == "grounding_dino":
        lack = lack._replace(why=f"{lack.why}; SAM 2 works from clicks without")
    detail = f"{_used(here, 'grounding_dino')}, {_used(here, 'sam2')}"
    return _backend("masks", "Grounded SAM 2", detail, lack)


def _gpu_renderer(here: Surroundings) -> Backend:
    torch = here.trials["torch"]
    lack = _missing_library(here, "torch")
    if lack is None and torch.facts["cuda_obstacle"] is not None:
        why, todo = torch.facts["cuda_obstacle"]
        lack = _Lack(why, f"{todo}; without an NVIDIA GPU there is nothing to do")
    lack = lack or _missing_library(here, "nvdiffrast.torch")
    devices = torch.facts.get("devices") or [{"title": ""}]
    detail = f"{here.trials['nvdiffrast.torch'].version} on {devices[0]['title']}"
    return _backend("rendering", "nvdiffrast", detail, lack)


def _backend(part: str, name: str, detail: str, lack: _Lack | None) -> Backend:
    if lack is None:
        return Backend(part, name, True, detail)
    return Backend(part, name, False, *lack)


def _used(here: Surroundings, model: str) -> str:
    checkpoints = here.checkpoints.get(model)
    return checkpoints[0].variant if checkpoints else ""


def _lack(here: Surroundings, modules: Sequence[str], models: Sequence[str]) -> _Lack | None:
    for module in modules:
        if (lack := _missing_library(here, module)) is not None:
            return lack
    for model in models:
        if not here.checkpoints.get(model):
            return _missing_checkpoint(here, model)
    return None


def _missing_library(here: Surroundings, module: str) -> _Lack | None:
    trial, library = here.trials[module], module.partition(".")[0]
    install = how_to_install(library, EXTRA_MODULES[module])
    if not trial.installed:
        return _Lack(f"{library} is not installed", install)
    if trial.problem is not None:
        why = f"{library} is installed but broken ({trial.problem})"
        return _Lack(why, f"pip uninstall {library} and then {install}")
    if trial.facts.get("lacks"):
        why = f"{library} {trial.version} has no {', '.join(trial.facts['lacks'])}"
        return _Lack(why, f"pip install --upgrade {library}")
    if not trial.facts.get("takes_torch", True):
        why = f"{library} {trial.version} wants a newer torch"
        return _Lack(why, "pip install --upgrade torch")
    return None


def _missing_checkpoint(here: Surroundings, model: str) -> _Lack:
    todo = how_to_get(recommended(model), here.folder)
    for strange in here.unusable:
        if strange.model == model:
            return _Lack(f"{strange.path} {strange.reason}", todo, model)
    return _Lack(f"no checkpoint of {MODELS[model].title}", todo, model)
