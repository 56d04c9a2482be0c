# SPDX-License-Identifier: Apache-2.0
"""A tiny SAM 2 with random weights on disk, for the real loading and inference code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
