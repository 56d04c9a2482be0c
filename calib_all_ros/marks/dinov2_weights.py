# SPDX-License-Identifier: Apache-2.0
"""The weights of DINOv2's authors under the names that transformers' checkpoints have.

The names are those of the checkpoints on the Hugging Face Hub; versions of transformers that call
the parameters otherwise rename them while they load.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from calib_all_ros.models.errors import ModelError

# All models of the authors have attention heads of this size; the weights do not tell it.
_HEAD_SIZE = 64
_SPLIT = re.compile(r"(blocks\.\d+\.attn)\.qkv\.(weight|bias)")
_RENAMED = tuple(
    (re.compile(rf"^{old}"), new)
    for old, new in (
        (r"cls_token$", "embeddings.cls_token"),
        (r"mask_token$", "embeddings.mask_token"),
        (r"register_tokens$", "embeddings.register_tokens"),
        (r"pos_embed$", "embeddings.position_embeddings"),
        (r"patch_embed\.proj\.(weight|bias)$", r"embeddings.patch_embeddings.projection.\1"),
        (r"blocks\.(\d+)\.(norm[12])\.(weight|bias)$", r"encoder.layer.\1.\2.\3"),
        (r"blocks\.(\d+)\.ls([12])\.gamma$", r"encoder.layer.\1.layer_scale\2.lambda1"),
        (r"blocks\.(\d+)\.mlp\.(fc[12])\.(weight|bias)$", r"encoder.layer.\1.mlp.\2.\3"),
        (r"blocks\.(\d+)\.mlp\.w12\.(weight|bias)$", r"encoder.layer.\1.mlp.weights_in.\2"),
        (r"blocks\.(\d+)\.mlp\.w3\.(weight|bias)$", r"encoder.layer.\1.mlp.weights_out.\2"),
        (
            r"blocks\.(\d+)\.attn\.proj\.(weight|bias)$",
            r"encoder.layer.\1.attention.output.dense.\2",
        ),
        (
            r"blocks\.(\d+)\.attn\.(query|key|value)\.(weight|bias)$",
            r"encoder.layer.\1.attention.attention.\2.\3",
        ),
        (r"norm\.(weight|bias)$", r"layernorm.\1"),
    )
)


def converted(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the authors' state dict under transformers' names.

    Args:
        state: Tensors or arrays by name; nothing but shapes and slices of them is used.

    Raises:
        ModelError: It has names that DINOv2 has not.
    """
    split: dict[str, Any] = {}
    for name, tensor in state.items():
        match = _SPLIT.fullmatch(name)
        if match is None:
            split[name] = tensor
            continue
        third = tensor.shape[0] // 3
        for number, part in enumerate(("query", "key", "value")):
            rows = tensor[number * third : (number + 1) * third]
            split[f"{match[1]}.{part}.{match[2]}"] = rows
    return {_renamed(name): tensor for name, tensor in split.items()}


def configuration(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of transformers' configuration that fit the authors' state dict.

    Raises:
        ModelError: It is none of DINOv2.
    """
    try:
        hidden, _, patch, _ = state["patch_embed.proj.weight"].shape
        side = math.isqrt(state["pos_embed"].shape[1] - 1)
        gated = "blocks.0.mlp.w12.weight" in state
        wide = state["blocks.0.mlp.w12.weight" if gated else "blocks.0.mlp.fc1.weight"].shape[0]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"it holds no weights of DINOv2 ({type(error).__name__}: {error})"
        ) from None
    arguments: dict[str, Any] = {
        "hidden_size": hidden,
        "num_hidden_layers": len({name.split(".")[1] for name in state if "blocks." in name}),
        "num_attention_heads": max(1, hidden // _HEAD_SIZE),
        "patch_size": patch,
        "image_size": side * patch,
        # SwiGLU has two thirds of the width, twice; the giant model's ratio is 4 as well.
        "mlp_ratio": 4 if gated else wide // hidden,
        "use_swiglu_ffn": gated,
    }
    if "register_tokens" in state:
        arguments["num_register_tokens"] = state["register_tokens"].shape[1]
    return arguments


def _renamed(name: str) -> str:
    for old, new in _RENAMED:
        renamed, count = old.subn(new, name)
        if count:
            return renamed
    raise ModelError(f"it holds '{name}', which DINOv2 has not")
