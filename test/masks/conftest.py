# SPDX-License-Identifier: Apache-2.0
"""Tiny checkpoints of the models that make masks: random weights, real formats, real loading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calib_all_ros.models.checkpoints import FoundCheckpoint

STAGES = (2, 1, 1, 1)
LAYERS = 2
# As in BERT's own vocabulary, at the numbers that Grounding DINO expects.
WORDS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
WORDS |= {1030: "robotic", 1031: "arm", 1032: "person", 1033: "##s"}


def write_vocabulary(folder: Path) -> None:
    """Write a vocabulary of WordPiece with few words, each at its number in BERT's."""
    words = [WORDS.get(k, f"[unused{k}]") for k in range(1040)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def tiny_grounding_dino(tmp_path_factory: pytest.TempPathFactory) -> FoundCheckpoint:
    """A folder of the transformers' format."""
    reason = "Grounding DINO: pip install '.[foundation]'"
    torch = pytest.importorskip("torch", reason=reason)
    transformers = pytest.importorskip("transformers", reason=reason)
    torch.manual_seed(0)
    config = transformers.GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "embed_dim": 8,
            "depths": list(STAGES),
            "num_heads": [1, 2, 2, 4],
            "window_size": 3,
            "mlp_ratio": 2.0,
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            "vocab_size": 1040,
            "hidden_size": 64,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 1,
            "intermediate_size": 24,
            "max_position_embeddings": 32,
        },
        d_model=32,
        num_queries=20,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_ffn_dim=16,
        decoder_ffn_dim=24,
    )
    model = transformers.GroundingDinoForObjectDetection(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    folder = tmp_path_factory.mktemp("checkpoints") / "grounding-dino-tiniest"
    model.save_pretrained(folder)
    write_vocabulary(folder)
    return FoundCheckpoint(folder, "transformers", folder.name)


@pytest.fixture(scope="session")
def original_grounding_dino(
    tiny_grounding_dino: FoundCheckpoint, tmp_path_factory: pytest.TempPathFactory
) -> FoundCheckpoint:
    """The same weights in a file as the authors of Grounding DINO publish theirs."""
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    published = load_file(tiny_grounding_dino.path / "model.safetensors")
    weights = {
        f"module.{name}": torch.cat([published[part] for part in parts])
        for name, parts in original_names()
    }
    # The backbone's last norm serves classification, which the authors have left out.
    used = {name for name in published if ".swin.layernorm." not in name}
    assert {part for _, parts in original_names() for part in parts} == used
    weights["module.label_enc.weight"] = torch.zeros(3, 2)
    weights["module.bert.pooler.dense.weight"] = torch.zeros(64, 64)
    weights["module.bert.embeddings.position_ids"] = torch.arange(32)[None]
    index = "module.backbone.0.layers.0.blocks.0.attn.relative_position_index"
    weights[index] = torch.zeros(9, 9, dtype=torch.int64)
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.save({"model": weights}, folder / "groundingdino_swint_ogc.pth")
    write_vocabulary(folder)
    return FoundCheckpoint(folder / "groundingdino_swint_ogc.pth", "original", "swint_ogc")


def original_names() -> Iterator[tuple[str, list[str]]]:
    """Every weight's name at the authors', with what transformers' folders call its parts."""
    both = ("weight", "bias")
    three = ("query", "key", "value")
    swin = "model.backbone.conv_encoder.model."
    yield "transformer.level_embed", ["model.level_embed"]
    yield "transformer.tgt_embed.weight", ["model.query_position_embeddings.weight"]
    for stage, blocks in enumerate(STAGES):
        for block in range(blocks):
            old = f"backbone.0.layers.{stage}.blocks.{block}."
            new = f"{swin}encoder.layers.{stage}.blocks.{block}."
            table = "relative_position_bias_table"
            yield f"{old}attn.{table}", [f"{new}attention.self.{table}"]
            for end in both:
                yield f"{old}norm1.{end}", [f"{new}layernorm_before.{end}"]
                yield f"{old}norm2.{end}", [f"{new}layernorm_after.{end}"]
                yield f"{old}attn.qkv.{end}", [f"{new}attention.self.{p}.{end}" for p in three]
                yield f"{old}attn.proj.{end}", [f"{new}attention.output.dense.{end}"]
                yield f"{old}mlp.fc1.{end}", [f"{new}intermediate.dense.{end}"]
                yield f"{old}mlp.fc2.{end}", [f"{new}output.dense.{end}"]
        if stage < 3:
            for end in ("reduction.weight", "norm.weight", "norm.bias"):
                place = f"layers.{stage}.downsample.{end}"
                yield f"backbone.0.{place}", [f"{swin}encoder.{place}"]
    for end in both:
        yield f"backbone.0.patch_embed.norm.{end}", [f"{swin}embeddings.norm.{end}"]
        projection = f"{swin}embeddings.patch_embeddings.projection.{end}"
        yield f"backbone.0.patch_embed.proj.{end}", [projection]
        for k in (1, 2, 3):
            yield f"backbone.0.norm{k}.{end}", [f"{swin}hidden_states_norms.stage{k + 1}.{end}"]
        for k in range(4):
            for layer in (0, 1):
                place = f"{k}.{layer}.{end}"
                yield f"input_proj.{place}", [f"model.input_proj_vision.{place}"]
        yield f"feat_map.{end}", [f"model.text_projection.{end}"]
        yield f"transformer.decoder.norm.{end}", [f"model.decoder.layer_norm.{end}"]
        yield f"transformer.enc_output.{end}", [f"model.enc_output.{end}"]
        yield f"transformer.enc_output_norm.{end}", [f"model.enc_output_norm.{end}"]
        for k in (0, 1):
            place = f"layers.{k}.{end}"
            head = f"model.decoder.reference_points_head.{place}"
            yield f"transformer.decoder.ref_point_head.{place}", [head]
        for k in (0, 1, 2):
            place = f"layers.{k}.{end}"
            head = f"model.encoder_output_bbox_embed.{place}"
            yield f"transformer.enc_out_bbox_embed.{place}", [head]
            # One head, which the authors' file has once for each layer at two places.
            for layer in range(LAYERS):
                yield f"bbox_embed.{layer}.{place}", [f"bbox_embed.0.{place}"]
                yield f"transformer.decoder.bbox_embed.{layer}.{place}", [f"bbox_embed.0.{place}"]
        yield (
            f"bert.embeddings.LayerNorm.{end}",
            [f"model.text_backbone.embeddings.LayerNorm.{end}"],
        )
        for layer in range(LAYERS):
            for place in (
                *(f"attention.self.{p}" for p in three),
                "attention.output.dense",
                "attention.output.LayerNorm",
                "intermediate.dense",
                "output.dense",
                "output.LayerNorm",
            ):
                place = f"encoder.layer.{layer}.{place}.{end}"
                yield f"bert.{place}", [f"model.text_backbone.{place}"]
            yield from _transformer_layer(layer, end)
    for kind in ("word", "position", "token_type"):
        place = f"embeddings.{kind}_embeddings.weight"
        yield f"bert.{place}", [f"model.text_backbone.{place}"]


def _transformer_layer(layer: int, end: str) -> Iterator[tuple[str, list[str]]]:
    three = ("query", "key", "value")
    old, new = f"transformer.encoder.layers.{layer}.", f"model.encoder.layers.{layer}."
    for part in ("sampling_offsets", "attention_weights", "value_proj", "output_proj"):
        yield f"{old}self_attn.{part}.{end}", [f"{new}deformable_layer.self_attn.{part}.{end}"]
    yield f"{old}norm1.{end}", [f"{new}deformable_layer.self_attn_layer_norm.{end}"]
    yield f"{old}linear1.{end}", [f"{new}deformable_layer.fc1.{end}"]
    yield f"{old}linear2.{end}", [f"{new}deformable_layer.fc2.{end}"]
    yield f"{old}norm2.{end}", [f"{new}deformable_layer.final_layer_norm.{end}"]
    old = f"transformer.encoder.text_layers.{layer}."
    text = f"{new}text_enhancer_layer."
    yield f"{old}self_attn.in_proj_{end}", [f"{text}self_attn.{p}.{end}" for p in three]
    yield f"{old}self_attn.out_proj.{end}", [f"{text}self_attn.out_proj.{end}"]
    yield f"{old}linear1.{end}", [f"{text}fc1.{end}"]
    yield f"{old}linear2.{end}", [f"{text}fc2.{end}"]
    yield f"{old}norm1.{end}", [f"{text}layer_norm_before.{end}"]
    yield f"{old}norm2.{end}", [f"{text}layer_norm_after.{end}"]
    old = f"transformer.encoder.fusion_layers.{layer}."
    fusion = f"{new}fusion_layer."
    if end == "weight":
        yield f"{old}gamma_v", [f"{fusion}vision_param"]
        yield f"{old}gamma_l", [f"{fusion}text_param"]
    for short, long in (("v", "vision"), ("l", "text")):
        yield f"{old}layer_norm_{short}.{end}", [f"{fusion}layer_norm_{long}.{end}"]
        for kind in ("", "values_", "out_"):
            place = f"attn.{kind}{short}_proj.{end}"
            yield f"{old}{place}", [f"{fusion}attn.{kind}{long}_proj.{end}"]
    old, new = f"transformer.decoder.layers.{layer}.", f"model.decoder.layers.{layer}."
    for part in ("sampling_offsets", "attention_weights", "value_proj", "output_proj"):
        yield f"{old}cross_attn.{part}.{end}", [f"{new}encoder_attn.{part}.{end}"]
    yield f"{old}norm1.{end}", [f"{new}encoder_attn_layer_norm.{end}"]
    yield f"{old}ca_text.in_proj_{end}", [f"{new}encoder_attn_text.{p}.{end}" for p in three]
    yield f"{old}ca_text.out_proj.{end}", [f"{new}encoder_attn_text.out_proj.{end}"]
    yield f"{old}catext_norm.{end}", [f"{new}encoder_attn_text_layer_norm.{end}"]
    yield f"{old}self_attn.in_proj_{end}", [f"{new}self_attn.{p}.{end}" for p in three]
    yield f"{old}self_attn.out_proj.{end}", [f"{new}self_attn.out_proj.{end}"]
    yield f"{old}norm2.{end}", [f"{new}self_attn_layer_norm.{end}"]
    yield f"{old}linear1.{end}", [f"{new}fc1.{end}"]
    yield f"{old}linear2.{end}", [f"{new}fc2.{end}"]
    yield f"{old}norm3.{end}", [f"{new}final_layer_norm.{end}"]
