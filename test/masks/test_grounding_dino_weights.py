# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of the authors' weights, without a library of models."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.masks.grounding_dino_weights import (
    transformers_config,
    transformers_names,
    transformers_weights,
)
from calib_all_ros.models.errors import ModelError

SWIN = "model.backbone.conv_encoder.model."


@pytest.mark.parametrize(
    ("original", "names"),
    [
        (
            "module.backbone.0.layers.2.blocks.5.norm1.weight",
            f"{SWIN}encoder.layers.2.blocks.5.layernorm_before.weight",
        ),
        ("backbone.0.norm3.bias", f"{SWIN}hidden_states_norms.stage4.bias"),
        (
            "backbone.0.layers.0.blocks.1.attn.relative_position_index",
            f"{SWIN}encoder.layers.0.blocks.1.attention.self.relative_position_index",
        ),
        (
            "transformer.encoder.layers.1.norm1.weight",
            "model.encoder.layers.1.deformable_layer.self_attn_layer_norm.weight",
        ),
        # The decoder's first norm follows its cross-attention to the image, not its own attention.
        (
            "transformer.decoder.layers.0.norm1.weight",
            "model.decoder.layers.0.encoder_attn_layer_norm.weight",
        ),
        (
            "transformer.decoder.layers.0.norm2.weight",
            "model.decoder.layers.0.self_attn_layer_norm.weight",
        ),
        (
            "transformer.encoder.fusion_layers.3.attn.values_l_proj.bias",
            "model.encoder.layers.3.fusion_layer.attn.values_text_proj.bias",
        ),
        (
            "bert.encoder.layer.11.output.LayerNorm.bias",
            "model.text_backbone.encoder.layer.11.output.LayerNorm.bias",
        ),
        ("transformer.level_embed", "model.level_embed"),
    ],
)
def test_names(original: str, names: str) -> None:
    assert transformers_names(original) == (names,)


@pytest.mark.parametrize(
    "name",
    [
        "label_enc.weight",
        "module.bert.pooler.dense.weight",
        "bert.embeddings.position_ids",
    ],
)
def test_what_detection_does_not_use_is_left_out(name: str) -> None:
    assert transformers_names(name) == ()
    assert transformers_weights({name: np.zeros(3)}) == {}


@pytest.mark.parametrize("name", ["image_encoder.trunk.pos_embed", "blocks.0.norm1.weight"])
def test_another_models_weights_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="another model"):
        transformers_names(name)


@pytest.mark.parametrize(
    ("original", "place"),
    [
        (
            "backbone.0.layers.0.blocks.1.attn.qkv.",
            f"{SWIN}encoder.layers.0.blocks.1.attention.self.",
        ),
        (
            "transformer.decoder.layers.0.ca_text.in_proj_",
            "model.decoder.layers.0.encoder_attn_text.",
        ),
    ],
)
def test_query_key_and_value_are_unstacked_in_this_order(original: str, place: str) -> None:
    stacked = np.arange(6 * 2).reshape(6, 2)
    weights = transformers_weights({f"{original}weight": stacked, f"{original}bias": stacked[:, 0]})
    for k, projection in enumerate(("query", "key", "value")):
        assert (weights[f"{place}{projection}.weight"] == stacked[2 * k : 2 * k + 2]).all()
        assert (weights[f"{place}{projection}.bias"] == stacked[2 * k : 2 * k + 2, 0]).all()
    assert len(weights) == 6


def published_shapes(channels: int, blocks: tuple[int, ...], window: int) -> dict[str, np.ndarray]:
    """Arrays of the published models' shapes, as far as they tell the configuration."""
    shapes: dict[str, tuple[int, ...]] = {
        f"{SWIN}embeddings.patch_embeddings.projection.weight": (channels, 3, 4, 4),
        f"{SWIN}encoder.layers.0.blocks.0.intermediate.dense.weight": (4 * channels, channels),
        "model.text_backbone.embeddings.word_embeddings.weight": (30522, 768),
        "model.text_backbone.embeddings.position_embeddings.weight": (512, 768),
        "model.text_backbone.encoder.layer.0.intermediate.dense.weight": (3072, 768),
        "model.text_backbone.encoder.layer.11.output.dense.bias": (768,),
        "model.text_projection.weight": (256, 768),
        "model.query_position_embeddings.weight": (900, 256),
        "model.level_embed": (4, 256),
        "model.encoder.layers.0.deformable_layer.fc1.weight": (2048, 256),
        "model.encoder.layers.5.deformable_layer.fc2.bias": (256,),
        "model.decoder.layers.0.fc1.weight": (2048, 256),
        "model.decoder.layers.5.fc2.bias": (256,),
    }
    for stage, count in enumerate(blocks):
        for block in range(count):
            table = f"encoder.layers.{stage}.blocks.{block}.attention.self."
            heads = channels // 32 * 2**stage
            shapes[f"{SWIN}{table}relative_position_bias_table"] = ((2 * window - 1) ** 2, heads)
    for stage in (2, 3, 4):
        shapes[f"{SWIN}hidden_states_norms.stage{stage}.bias"] = (channels * 2 ** (stage - 1),)
        shapes[f"{SWIN}hidden_states_norms.stage{stage}.weight"] = (channels * 2 ** (stage - 1),)
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("channels", "blocks", "window", "heads"),
    [(96, (2, 2, 6, 2), 7, [3, 6, 12, 24]), (128, (2, 2, 18, 2), 12, [4, 8, 16, 32])],
    ids=["swint", "swinb"],
)
def test_the_shapes_tell_the_configuration(
    channels: int, blocks: tuple[int, ...], window: int, heads: list[int]
) -> None:
    config = transformers_config(published_shapes(channels, blocks, window))
    assert config["backbone_config"] == {
        "model_type": "swin",
        "embed_dim": channels,
        "patch_size": 4,
        "depths": list(blocks),
        "num_heads": heads,
        "window_size": window,
        "mlp_ratio": 4.0,
        "out_indices": [2, 3, 4],
    }
    assert config["text_config"] == {
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
    }
    assert (config["d_model"], config["num_queries"], config["num_feature_levels"]) == (256, 900, 4)
    assert config["encoder_layers"] == config["decoder_layers"] == 6
    assert config["encoder_ffn_dim"] == config["decoder_ffn_dim"] == 2048


def test_an_incomplete_file_says_what_it_lacks() -> None:
    weights = published_shapes(96, (2, 2, 6, 2), 7)
    del weights["model.level_embed"]
    with pytest.raises(ModelError, match=r"lacks the weight model\.level_embed"):
        transformers_config(weights)
