# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO from either format of its checkpoints, as transformers' model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calib_all_ros.masks.grounding_dino_weights import transformers_config, transformers_weights
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.errors import ModelError
from calib_all_ros.models.libraries import require


def load_grounding_dino(checkpoint: FoundCheckpoint) -> Any:
    """Return a GroundingDinoForObjectDetection in float32 on the CPU.

    Args:
        checkpoint: A transformers folder or the authors' file.

    Raises:
        ModelUnavailableError: torch or transformers is missing.
        ModelError: the checkpoint is damaged or another model's.
    """
    path = checkpoint.path
    # A library that lacks a part must not be taken for a damaged file.
    for library in ("torch", "transformers.models.grounding_dino.modeling_grounding_dino"):
        require(library, "foundation")
    try:
        if checkpoint.kind == "original":
            model, loading = _from_original(path)
        else:
            model, loading = _from_pretrained(path)
    except ModelError:
        raise
    except Exception as error:  # what is damaged raises whatever the unpickler stumbles over
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} cannot be read ({reason}): download it again") from error
    wrong = sorted({*loading["missing_keys"], *loading["unexpected_keys"]})
    if wrong:
        raise ModelError(
            f"{path} is no complete Grounding DINO, {len(wrong)} of its weights are missing or "
            f"not known ({wrong[0]}): download it again"
        )
    return model.float().eval()


def _from_original(path: Path) -> Any:
    content = require("torch", "foundation").load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ModelError(f"{path} holds no weights under 'model': download it again")
    weights = transformers_weights(content["model"])
    configuration = require("transformers", "foundation").GroundingDinoConfig
    return _from_pretrained(None, configuration(**transformers_config(weights)), weights)


def _from_pretrained(
    path: Path | None, config: Any = None, weights: Mapping[str, Any] | None = None
) -> Any:
    """Return the model and what did not fit, from a folder or from weights under its names."""
    transformers = require("transformers", "foundation")
    transformers.utils.logging.disable_progress_bar()
    return transformers.GroundingDinoForObjectDetection.from_pretrained(
        path,
        config=config,
        state_dict=weights,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
