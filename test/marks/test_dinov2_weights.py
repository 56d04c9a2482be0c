# SPDX-License-Identifier: Apache-2.0
"""The authors' weights, renamed; the names and shapes need no torch."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.marks.dinov2_weights import configuration, converted
from calib_all_ros.models.errors import ModelError


def state(*, gated: bool = False, registers: int = 0, hidden: int = 128) -> dict[str, np.ndarray]:
    """What the authors' file holds of a model with two layers, in numbers that tell it apart."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, hidden),
        "pos_embed": (1, 1 + 16, hidden),
        "mask_token": (1, hidden),
        "patch_embed.proj.weight": (hidden, 3, 14, 14),
        "patch_embed.proj.bias": (hidden,),
        "norm.weight": (hidden,),
        "norm.bias": (hidden,),
    }
    if registers:
        shapes["register_tokens"] = (1, registers, hidden)
    for layer in range(2):
        block: dict[str, tuple[int, ...]] = {
            "norm1.weight": (hidden,),
            "norm1.bias": (hidden,),
            "attn.qkv.weight": (3 * hidden, hidden),
            "attn.qkv.bias": (3 * hidden,),
            "attn.proj.weight": (hidden, hidden),
            "attn.proj.bias": (hidden,),
            "ls1.gamma": (hidden,),
            "norm2.weight": (hidden,),
            "norm2.bias": (hidden,),
            "ls2.gamma": (hidden,),
        }
        if gated:
            inner = (int(4 * hidden * 2 / 3) + 7) // 8 * 8
            block |= {"mlp.w12.weight": (2 * inner, hidden), "mlp.w12.bias": (2 * inner,)}
            block |= {"mlp.w3.weight": (hidden, inner), "mlp.w3.bias": (hidden,)}
        else:
            block |= {"mlp.fc1.weight": (4 * hidden, hidden), "mlp.fc1.bias": (4 * hidden,)}
            block |= {"mlp.fc2.weight": (hidden, 4 * hidden), "mlp.fc2.bias": (hidden,)}
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    generator = np.random.default_rng(0)
    return {
        name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }


def test_query_key_and_value_are_split_in_that_order() -> None:
    original = state()
    renamed = converted(original)
    joined = [
        renamed[f"encoder.layer.1.attention.attention.{part}.weight"]
        for part in ("query", "key", "value")
    ]
    np.testing.assert_array_equal(np.concatenate(joined), original["blocks.1.attn.qkv.weight"])
    assert [part.shape for part in joined] == [(128, 128)] * 3
    assert renamed["encoder.layer.0.attention.attention.key.bias"].shape == (128,)


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("gated", [False, True])
def test_nothing_is_lost(gated: bool, registers: int) -> None:
    original = state(gated=gated, registers=registers)
    renamed = converted(original)
    # Each of the two layers' qkv, weight and bias, becomes three.
    assert len(renamed) == len(original) + 2 * 2 * 2
    assert sum(value.size for value in renamed.values()) == sum(v.size for v in original.values())
    np.testing.assert_array_equal(
        renamed["encoder.layer.1.layer_scale2.lambda1"], original["blocks.1.ls2.gamma"]
    )
    np.testing.assert_array_equal(renamed["embeddings.position_embeddings"], original["pos_embed"])
    np.testing.assert_array_equal(renamed["layernorm.bias"], original["norm.bias"])


def test_configuration_from_the_shapes() -> None:
    assert configuration(state()) == {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 14,
        "image_size": 56,
        "mlp_ratio": 4,
        "use_swiglu_ffn": False,
    }
    large = configuration(state(gated=True, registers=4, hidden=384))
    assert large["num_attention_heads"] == 6 and large["num_register_tokens"] == 4
    assert large["use_swiglu_ffn"] and large["mlp_ratio"] == 4


def test_other_models_are_refused() -> None:
    with pytest.raises(ModelError, match=r"'head\.weight', which DINOv2 has not"):
        converted({**state(), "head.weight": np.zeros(3)})
    with pytest.raises(ModelError, match="no weights of DINOv2"):
        configuration({"conv1.weight": np.zeros((3, 3))})
    with pytest.raises(ModelError, match="no weights of DINOv2"):
        configuration({**state(), "pos_embed": "nothing"})
