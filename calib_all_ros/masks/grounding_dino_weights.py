# SPDX-License-Identifier: Apache-2.0
"""The authors' checkpoints of Grounding DINO under the names that transformers gives the weights.

``groundingdino_swint_ogc.pth`` and ``groundingdino_swinb_cogcoor.pth`` of
https://github.com/IDEA-Research/GroundingDINO hold the same network as the published transformers
folders, under other names and with the projections of query, key and value stacked. The names made
here are those of the published folders, which every version of transformers reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from calib_all_ros.models.errors import ModelError

_SWIN = "model.backbone.conv_encoder.model."
_ATTENTION = ("query", "key", "value")
# Masks and positions that are computed, training only, and BERT's sentence head: not used.
_UNUSED = re.compile(r"label_enc\.|bert\.pooler\.|bert\.embeddings\.position_ids$|.*\.attn_mask$")
# In order: the first that fits. The decoder calls cross-attention what transformers calls
# encoder_attn, and its norms are numbered in another order than they are applied.
_RENAMING = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"backbone\.0\.patch_embed\.proj\.", _SWIN + "embeddings.patch_embeddings.projection."),
        (r"backbone\.0\.patch_embed\.norm\.", _SWIN + "embeddings.norm."),
        (r"backbone\.0\.layers\.(\d+)\.downsample\.", _SWIN + r"encoder.layers.\1.downsample."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.", _SWIN + r"encoder.layers.\1.blocks.\2."),
        (r"transformer\.encoder\.layers\.(\d+)\.", r"model.encoder.layers.\1.deformable_layer."),
        (
            r"transformer\.encoder\.text_layers\.(\d+)\.",
            r"model.encoder.layers.\1.text_enhancer_layer.",
        ),
        (
            r"transformer\.encoder\.fusion_layers\.(\d+)\.",
            r"model.encoder.layers.\1.fusion_layer.",
        ),
        (r"transformer\.decoder\.layers\.(\d+)\.", r"model.decoder.layers.\1."),
        (r"transformer\.decoder\.norm\.", "model.decoder.layer_norm."),
        (r"transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head."),
        (r"transformer\.decoder\.bbox_embed\.", "model.decoder.bbox_embed."),
        (r"transformer\.enc_output", "model.enc_output"),
        (r"transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
        (r"transformer\.level_embed$", "model.level_embed"),
        (r"transformer\.tgt_embed\.", "model.query_position_embeddings."),
        (r"input_proj\.", "model.input_proj_vision."),
        (r"feat_map\.", "model.text_projection."),
        (r"bert\.", "model.text_backbone."),
        (r"bbox_embed\.", "bbox_embed."),
    )
]
_INSIDE = {
    _SWIN: {
        "norm1.": "layernorm_before.",
        "norm2.": "layernorm_after.",
        "attn.relative_position_": "attention.self.relative_position_",
        "attn.qkv.": "attention.self.*.",
        "attn.proj.": "attention.output.dense.",
        "mlp.fc1.": "intermediate.dense.",
        "mlp.fc2.": "output.dense.",
    },
    "deformable_layer.": {
        "norm1.": "self_attn_layer_norm.",
        "norm2.": "final_layer_norm.",
        "linear1.": "fc1.",
        "linear2.": "fc2.",
    },
    "text_enhancer_layer.": {
        "self_attn.in_proj_": "self_attn.*.",
        "norm1.": "layer_norm_before.",
        "norm2.": "layer_norm_after.",
        "linear1.": "fc1.",
        "linear2.": "fc2.",
    },
    "fusion_layer.": {
        "gamma_v": "vision_param",
        "gamma_l": "text_param",
        "layer_norm_v.": "layer_norm_vision.",
        "layer_norm_l.": "layer_norm_text.",
        "attn.v_proj.": "attn.vision_proj.",
        "attn.l_proj.": "attn.text_proj.",
        "attn.values_v_proj.": "attn.values_vision_proj.",
        "attn.values_l_proj.": "attn.values_text_proj.",
        "attn.out_v_proj.": "attn.out_vision_proj.",
        "attn.out_l_proj.": "attn.out_text_proj.",
    },
    "model.decoder.layers.": {
        "cross_attn.": "encoder_attn.",
        "norm1.": "encoder_attn_layer_norm.",
        "ca_text.in_proj_": "encoder_attn_text.*.",
        "ca_text.": "encoder_attn_text.",
        "catext_norm.": "encoder_attn_text_layer_norm.",
        "self_attn.in_proj_": "self_attn.*.",
        "norm2.": "self_attn_layer_norm.",
        "norm3.": "final_layer_norm.",
        "linear1.": "fc1.",
        "linear2.": "fc2.",
    },
}


def transformers_names(name: str) -> tuple[str, ...]:
    """Return under which names transformers knows a weight of the authors'.

    Returns:
        One name; three if query, key and value are stacked along the first axis; none for what
        the detector does not use.

    Raises:
        ModelError: Grounding DINO has no weight of that name.
    """
    name = name.removeprefix("module.")
    if _UNUSED.match(name):
        return ()
    if match := re.match(r"backbone\.0\.norm(\d)\.(.*)", name):
        return (f"{_SWIN}hidden_states_norms.stage{int(match[1]) + 1}.{match[2]}",)
    for pattern, replacement in _RENAMING:
        if match := pattern.match(name):
            start, rest = match.expand(replacement), name[match.end() :]
            break
    else:
        raise ModelError(f"Grounding DINO has no weight {name}: this is another model's checkpoint")
    for part, inside in _INSIDE.items():
        if part in start:
            old = next((old for old in inside if rest.startswith(old)), "")
            rest = inside.get(old, "") + rest[len(old) :]
            break
    if "*" in rest:
        return tuple(start + rest.replace("*", projection) for projection in _ATTENTION)
    return (start + rest,)


def transformers_weights(original: Mapping[str, Any]) -> dict[str, Any]:
    """Return the authors' weights (what their file holds under "model") under other names."""
    weights = {}
    for name, value in original.items():
        names = transformers_names(name)
        size = value.shape[0] // len(names) if names and value.ndim else 0
        for k, new in enumerate(names):
            weights[new] = value[k * size : (k + 1) * size] if len(names) > 1 else value
    return weights


def transformers_config(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of transformers' GroundingDinoConfig that the weights' shapes tell.

    The numbers of heads (8) and of sampled points (4) are the same in all published models and
    remain at their defaults; so do BERT's 64 channels a head.

    Args:
        weights: As returned by ``transformers_weights``.

    Raises:
        ModelError: weights are missing.
    """
    try:
        return _config({name: tuple(value.shape) for name, value in weights.items()})
    except KeyError as error:
        raise ModelError(
            f"the checkpoint lacks the weight {error.args[0]}: download it again"
        ) from None


def _config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    stages = _count(shapes, re.escape(_SWIN) + r"encoder\.layers\.(\d+)\.")
    biases = "attention.self.relative_position_bias_table"
    tables = [shapes[f"{_SWIN}encoder.layers.{s}.blocks.0.{biases}"] for s in range(stages)]
    blocks = [
        _count(shapes, re.escape(_SWIN) + rf"encoder\.layers\.{s}\.blocks\.(\d+)\.")
        for s in range(stages)
    ]
    words, channels = shapes["model.text_backbone.embeddings.word_embeddings.weight"]
    block = "encoder.layers.0.blocks.0."
    embedding = shapes[f"{_SWIN}embeddings.patch_embeddings.projection.weight"]
    return {
        "d_model": shapes["model.text_projection.weight"][0],
        "num_queries": shapes["model.query_position_embeddings.weight"][0],
        "num_feature_levels": shapes["model.level_embed"][0],
        "encoder_layers": _count(shapes, r"model\.encoder\.layers\.(\d+)\."),
        "decoder_layers": _count(shapes, r"model\.decoder\.layers\.(\d+)\."),
        "encoder_ffn_dim": shapes["model.encoder.layers.0.deformable_layer.fc1.weight"][0],
        "decoder_ffn_dim": shapes["model.decoder.layers.0.fc1.weight"][0],
        "backbone_config": {
            "model_type": "swin",
            "embed_dim": embedding[0],
            "patch_size": embedding[2],
            "depths": blocks,
            "num_heads": [table[1] for table in tables],
            "window_size": (math.isqrt(tables[0][0]) + 1) // 2,
            "mlp_ratio": shapes[f"{_SWIN}{block}intermediate.dense.weight"][0] / embedding[0],
            "out_indices": [
                s for s in range(5) if f"{_SWIN}hidden_states_norms.stage{s}.weight" in shapes
            ],
        },
        "text_config": {
            "model_type": "bert",
            "vocab_size": words,
            "hidden_size": channels,
            "num_hidden_layers": _count(shapes, r"model\.text_backbone\.encoder\.layer\.(\d+)\."),
            "num_attention_heads": max(channels // 64, 1),
            "intermediate_size": shapes[
                "model.text_backbone.encoder.layer.0.intermediate.dense.weight"
            ][0],
            "max_position_embeddings": shapes[
                "model.text_backbone.embeddings.position_embeddings.weight"
            ][0],
        },
    }


def _count(names: Mapping[str, Any], pattern: str) -> int:
    found = (re.match(pattern, name) for name in names)
    return 1 + max((int(match[1]) for match in found if match), default=-1)
