# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.commands.doctor_backends import (
    CORE_MODULES,
    EXTRA_MODULES,
    Backend,
    Surroundings,
    backends,
)
from calib_all_ros.commands.doctor_imports import Trial
from calib_all_ros.models.checkpoints import MODELS, FoundCheckpoint, Unusable, recommended

MODEL_BACKENDS = {"DINOv2", "CoTracker3", "Grounded SAM 2", "nvdiffrast"}


@pytest.fixture
def complete(tmp_path: Path) -> Surroundings:
    """Everything is there."""
    trials = {module: Trial(module, version="1") for module in (*CORE_MODULES, *EXTRA_MODULES)}
    devices = [{"name": "cuda:0", "title": "NVIDIA X", "memory_bytes": 2**30}]
    trials["torch"] = Trial("torch", version="2", facts=torch_facts(None, devices))
    trials["transformers"] = Trial(
        "transformers", version="5", facts={"lacks": [], "takes_torch": True}
    )
    (tmp_path / "vocab.txt").touch()
    found = {
        model: (FoundCheckpoint(tmp_path / f"{model}.pth", "original", f"{model}-small"),)
        for model in MODELS
    }
    return Surroundings(trials, found, (), tmp_path, references=2)


def torch_facts(obstacle: tuple[str, str] | None, devices: list[Any]) -> dict[str, Any]:
    return {"cuda": "13.0", "cuda_obstacle": obstacle, "devices": devices}


def with_trial(here: Surroundings, trial: Trial) -> Surroundings:
    return replace(here, trials={**here.trials, trial.module: trial})


def without(here: Surroundings, *models: str) -> Surroundings:
    left = {model: found for model, found in here.checkpoints.items() if model not in models}
    return replace(here, checkpoints=left)


def named(here: Surroundings) -> dict[str, Backend]:
    return {backend.name: backend for backend in backends(here)}


def absent(here: Surroundings) -> set[str]:
    return {backend.name for backend in backends(here) if not backend.available}


def test_with_everything_there_is_nothing_to_do(complete: Surroundings) -> None:
    assert absent(complete) == set()
    assert all(backend.todo is None for backend in backends(complete))
    answers = named(complete)
    assert answers["DINOv2"].detail == "dinov2-small, 2 reference mark(s)"
    assert answers["CoTracker3"].detail == "cotracker3_offline-small, cotracker3_online-small"
    assert answers["Grounded SAM 2"].detail == "grounding_dino-small, sam2-small"
    assert answers["nvdiffrast"].detail == "1 on NVIDIA X"


def test_with_nothing_of_the_extras_the_rest_is_there(tmp_path: Path) -> None:
    trials = {module: Trial(module) for module in CORE_MODULES}
    trials |= {module: Trial(module, installed=False) for module in EXTRA_MODULES}
    here = Surroundings(trials, {}, (), tmp_path, references=0)
    assert absent(here) == MODEL_BACKENDS
    for name in MODEL_BACKENDS:
        backend = named(here)[name]
        assert backend.detail == "torch is not installed"
        assert backend.todo == "pip install 'calib_all_ros[foundation]'"


@pytest.mark.parametrize(
    ("trial", "missing", "detail"),
    [
        (
            Trial("torch", problem="OSError: libcudart"),
            MODEL_BACKENDS,
            "torch is installed but broken (OSError: libcudart)",
        ),
        (
            Trial("transformers", installed=False),
            {"DINOv2", "Grounded SAM 2"},
            "transformers is not installed",
        ),
        (
            Trial("transformers", version="4.40", facts={"lacks": ["Sam2VideoModel"]}),
            {"DINOv2", "Grounded SAM 2"},
            "transformers 4.40 has no Sam2VideoModel",
        ),
        (
            Trial("transformers", version="5", facts={"lacks": [], "takes_torch": False}),
            {"DINOv2", "Grounded SAM 2"},
            "transformers 5 wants a newer torch",
        ),
        (
            Trial("cotracker.predictor", installed=False),
            {"CoTracker3"},
            "cotracker is not installed",
        ),
        (
            Trial("nvdiffrast.torch", installed=False),
            {"nvdiffrast"},
            "nvdiffrast is not installed",
        ),
        (
            Trial("torch", version="2", facts=torch_facts(("built without CUDA", "do this"), [])),
            {"nvdiffrast"},
            "built without CUDA",
        ),
        (
            Trial("cv2", problem="ImportError: libGL"),
            {"given pixel", "Lucas-Kanade", "recorded", "from the images"},
            "cv2 cannot be imported",
        ),
        (Trial("numba", installed=False), {"CPU rasteriser"}, "numba cannot be imported"),
    ],
)
def test_what_a_library_is_needed_for(
    complete: Surroundings, trial: Trial, missing: set[str], detail: str
) -> None:
    here = with_trial(complete, trial)
    assert absent(here) == missing
    for name in missing:
        assert named(here)[name].detail == detail
        assert named(here)[name].todo


@pytest.mark.parametrize(
    ("models", "missing"),
    [
        (["dinov2"], {"DINOv2"}),
        (["sam2"], {"Grounded SAM 2"}),
        (["grounding_dino"], {"Grounded SAM 2"}),
        (["cotracker3_offline"], set()),
        (["cotracker3_online"], set()),
        (["cotracker3_offline", "cotracker3_online"], {"CoTracker3"}),
    ],
)
def test_what_a_checkpoint_is_needed_for(
    complete: Surroundings, models: list[str], missing: set[str]
) -> None:
    here = without(complete, *models)
    assert absent(here) == missing
    for name in missing:
        backend = named(here)[name]
        assert backend.checkpoint == models[0]
        assert "download https://" in str(backend.todo)
        assert str(complete.folder) in str(backend.todo)


def test_without_a_detector_clicks_remain(complete: Surroundings) -> None:
    detail = named(without(complete, "grounding_dino"))["Grounded SAM 2"].detail
    assert detail == "no checkpoint of Grounding DINO; SAM 2 works from clicks without"


def test_a_mark_needs_a_reference(complete: Surroundings) -> None:
    backend = named(replace(complete, references=0))["DINOv2"]
    assert backend.detail == "no reference mark"
    assert "calib_all mark add" in str(backend.todo)


def test_references_that_cannot_be_read_are_said(complete: Surroundings) -> None:
    here = replace(complete, references=None, references_problem="a.yaml has no pixel")
    assert named(here)["DINOv2"].detail == "a.yaml has no pixel"


def test_a_file_that_only_looks_like_a_checkpoint_is_said(complete: Surroundings) -> None:
    strange = Unusable("sam2", Path("/sam2.1_hiera_tiny.pt"), "is empty", recommended("sam2"))
    here = replace(without(complete, "sam2"), unusable=(strange,))
    assert named(here)["Grounded SAM 2"].detail == "/sam2.1_hiera_tiny.pt is empty"
