# SPDX-License-Identifier: Apache-2.0
"""Loads DINOv2 into transformers' model, from a folder of its own format or the authors' file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calib_all_ros.marks.dinov2_weights import configuration, converted
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.errors import ModelError, ModelUnavailableError
from calib_all_ros.models.libraries import require


def load_dinov2(checkpoint: FoundCheckpoint) -> Any:
    """Return transformers' ``Dinov2Model`` or ``Dinov2WithRegistersModel``, on the CPU.

    Raises:
        ModelUnavailableError: torch or transformers is missing.
        ModelError: The checkpoint cannot be loaded, or is not complete.
    """
    load = _load_original if checkpoint.kind == "original" else _load_folder
    try:
        model, missing = load(checkpoint.path)
    except ModelUnavailableError:
        raise
    except Exception as error:  # torch, safetensors and transformers have kinds of their own
        reason = " ".join(str(error).split())
        raise ModelError(f"{checkpoint.path} cannot be loaded as DINOv2: {reason}") from error
    if missing:
        # transformers fills them with random numbers.
        raise ModelError(
            f"{checkpoint.path} lacks {len(missing)} of DINOv2's weights ({missing[0]} ...): "
            "download it again"
        )
    return model


def _load_folder(path: Path) -> tuple[Any, list[str]]:
    transformers = require("transformers", "foundation")
    require("torch", "foundation")
    model, report = transformers.AutoModel.from_pretrained(
        path, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    return model, sorted(report["missing_keys"])


def _load_original(path: Path) -> tuple[Any, list[str]]:
    torch, transformers = require("torch", "foundation"), require("transformers", "foundation")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's own message advises to load it unsafely.
        kind = type(error).__name__
        raise ModelError(
            f"it is damaged or holds more than tensors ({kind}); download it again"
        ) from error
    arguments = configuration(state)
    kind = "Dinov2WithRegisters" if "num_register_tokens" in arguments else "Dinov2"
    model, report = getattr(transformers, f"{kind}Model").from_pretrained(
        None,
        config=getattr(transformers, f"{kind}Config")(**arguments),
        state_dict=converted(state),
        output_loading_info=True,
    )
    return model, sorted(report["missing_keys"])
