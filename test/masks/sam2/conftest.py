# SPDX-License-Identifier: Apache-2.0
"""A tiny SAM 2 with random weights in both formats, for the real loading and inference code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.masks import sam2_weights
from calib_all_ros.masks.sam2 import Sam2
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint

SIZE = 128
REASON = "SAM 2: pip install '.[foundation]'"
BACKBONE = {
    "hidden_size": 8,
    "image_size": [SIZE, SIZE],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 2, 2],
    "blocks_per_stage": [1, 2, 2, 1],
    "global_attention_blocks": [4],
    "window_size_per_stage": [4, 4, 4, 4],
    "window_positional_embedding_background_size": [4, 4],
}
TINY: dict[str, Any] = {
    "image_size": SIZE,
    "vision_config": {
        "model_type": "sam2_vision_model",
        "backbone_config": {"model_type": "sam2_hiera_det_model", **BACKBONE},
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": 128,
    },
    "prompt_encoder_config": {"hidden_size": 128, "image_size": SIZE, "mask_input_channels": 4},
    "mask_decoder_config": {
        "hidden_size": 128,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    },
    "memory_attention_hidden_size": 128,
    "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_attention_rope_feat_sizes": [8, 8],
    "memory_encoder_hidden_size": 128,
    "mask_downsampler_embed_dim": 128,
    "memory_fuser_num_layers": 1,
    "memory_fuser_embed_dim": 128,
    "memory_fuser_intermediate_dim": 32,
}

# From transformers' names to the authors', where they differ; tried in this order.
_MLP = r"((?:object_pointer_proj|iou_prediction_head|pred_obj_score_head|_mlps\.\d+))\."
AUTHORS = (
    (_MLP + r"layers\.0\.", r"\1.layers.1."),
    (_MLP + r"proj_in\.", r"\1.layers.0."),
    (_MLP + r"proj_out\.", r"\1.layers.2."),
    (r"mlp\.proj_in\.", "mlp.layers.0."),
    (r"mlp\.proj_out\.", "mlp.layers.1."),
    (r"downsampler\.layers\.(\d)\.conv\.", lambda m: f"downsampler.encoder.{3 * int(m[1])}."),
    (
        r"downsampler\.layers\.(\d)\.layer_norm\.",
        lambda m: f"downsampler.encoder.{3 * int(m[1]) + 1}.",
    ),
    (r"downsampler\.final_conv\.", "downsampler.encoder.12."),
    (r"mask_embed\.conv1\.", "mask_downscaling.0."),
    (r"mask_embed\.layer_norm1\.", "mask_downscaling.1."),
    (r"mask_embed\.conv2\.", "mask_downscaling.3."),
    (r"mask_embed\.layer_norm2\.", "mask_downscaling.4."),
    (r"mask_embed\.conv3\.", "mask_downscaling.6."),
    (r"upscale_conv1\.", "output_upscaling.0."),
    (r"upscale_layer_norm\.", "output_upscaling.1."),
    (r"upscale_conv2\.", "output_upscaling.3."),
    (r"layer_norm_final_attn", "norm_final_attn"),
    (r"layer_norm", "norm"),
    (r"memory_encoder\.projection\.", "memory_encoder.out_proj."),
    (r"\.o_proj\.", ".out_proj."),
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"feature_projection", "pix_feat_proj"),
    (r"memory_fuser", "fuser"),
    (r"depthwise_conv", "dwconv"),
    (r"pointwise_conv", "pwconv"),
    (r"(fuser\.layers\.\d)\.scale$", r"\1.gamma"),
    (
        r"^prompt_encoder\.shared_embedding\.positional_embedding$",
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    (r"^prompt_encoder\.", "sam_prompt_encoder."),
    (r"^mask_decoder\.", "sam_mask_decoder."),
    (r"^object_pointer_proj\.", "obj_ptr_proj."),
    (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
    (r"^no_object_pointer$", "no_obj_ptr"),
    (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
    (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
)


def authors_name(name: str) -> str:
    for pattern, replacement in AUTHORS:
        name = re.sub(pattern, replacement, name)
    return name


@pytest.fixture(scope="session")
def sam2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of transformers' format."""
    torch = pytest.importorskip("torch", reason=REASON)
    transformers = pytest.importorskip("transformers", reason=REASON)
    torch.manual_seed(0)
    model = transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**TINY))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
        # One embedding, which transformers keeps at two places.
        shared = model.prompt_encoder.shared_embedding.positional_embedding
        model.shared_image_embedding.positional_embedding.copy_(shared)
        # The object is seen, unless a test wants otherwise.
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(5.0)
    folder = tmp_path_factory.mktemp("checkpoints") / "my-sam2"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sam2_original(sam2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as a file of the authors."""
    torch = pytest.importorskip("torch", reason=REASON)
    load_file = pytest.importorskip("safetensors.torch", reason=REASON).load_file
    state = load_file(sam2_folder / "model.safetensors")
    del state["shared_image_embedding.positional_embedding"]
    points = state.pop("prompt_encoder.point_embed.weight")
    original = {authors_name(name): tensor for name, tensor in state.items()}
    for k in range(4):
        original[f"sam_prompt_encoder.point_embeddings.{k}.weight"] = points[k : k + 1].clone()
    path = tmp_path_factory.mktemp("originals") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": original}, path)
    return path


@pytest.fixture
def tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the tiny model's sizes for those of the authors' files."""
    monkeypatch.setattr(sam2_weights, "video_config", lambda _variant: TINY)


@pytest.fixture(scope="session")
def checkpoint(sam2_folder: Path) -> FoundCheckpoint:
    return find_checkpoint("sam2", sam2_folder)


@pytest.fixture(scope="session")
def sam2(checkpoint: FoundCheckpoint) -> Sam2:
    return Sam2(checkpoint, "cpu")


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """20 images of the size that the model sees: a bright square that moves on noise."""
    rng = np.random.default_rng(0)
    sequence = []
    for k in range(20):
        image = rng.integers(0, 120, (SIZE, SIZE, 3), dtype=np.uint8)
        image[40:80, 10 + 4 * k : 40 + 4 * k] = 250
        sequence.append(image)
    return sequence
