# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that look like real ones from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

MakeFolder = Callable[..., Path]


@pytest.fixture
def transformers_folder() -> MakeFolder:
    """Makes a folder of the transformers' format, with weights that nothing can load."""

    def make(folder: Path, model_type: str, weights: bytes = b"weights") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        (folder / "model.safetensors").write_bytes(weights)
        return folder

    return make
