# SPDX-License-Identifier: Apache-2.0
"""Feature fields whose value is known at every place, and a tiny DINOv2 on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.marks.matching import FeatureMap, PatchGrid, unit_length

NO_TORCH = "torch and transformers are not installed: pip install '.[foundation]'"

Field = Callable[[np.ndarray], np.ndarray]


def _smooth_field(seed: int, smoothness_px: float = 20.0, channels: int = 192) -> Field:
    """Features (..., C) of places (..., 2): their similarity falls with the distance as a bell."""
    generator = np.random.default_rng(seed)
    waves = generator.normal(0.0, 1.0 / smoothness_px, (2, channels))
    phases = generator.uniform(0.0, 2 * np.pi, channels)
    return lambda places: np.cos(np.asarray(places) @ waves + phases)


def _sampled(
    field: Field,
    shape: tuple[int, int] = (14, 18),
    origin: tuple[float, float] = (5.5, 5.5),
    step: tuple[float, float] = (12.0, 12.0),
    moved: tuple[float, float] = (0.0, 0.0),
) -> FeatureMap:
    """The feature map of an image whose content is the field, moved by some pixels."""
    grid = PatchGrid(np.array(origin), np.array(step))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    places = grid.pixels(np.stack([columns, rows], axis=-1)) - np.array(moved)
    return FeatureMap(unit_length(field(places)).astype(np.float32), grid)


@pytest.fixture(scope="session")
def smooth_field() -> Callable[..., Field]:
    """Makes a field of features from a seed."""
    return _smooth_field


@pytest.fixture(scope="session")
def sampled() -> Callable[..., FeatureMap]:
    """Samples a field at the patches of an image."""
    return _sampled


@pytest.fixture(scope="session")
def tiny_dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder in transformers' format: random weights that do not look at places."""
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    transformers = pytest.importorskip("transformers", reason=NO_TORCH)
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        image_size=56,
        patch_size=14,
        layerscale_value=0.1,
    )
    model = transformers.Dinov2Model(config)
    with torch.no_grad():
        # Trained weights tell places apart by what is there, random ones by where it is.
        model.embeddings.position_embeddings.mul_(0.0)
        model.embeddings.patch_embeddings.projection.weight.mul_(10.0)
    folder = tmp_path_factory.mktemp("checkpoints")
    model.save_pretrained(folder / "dinov2-tiny")
    return folder
