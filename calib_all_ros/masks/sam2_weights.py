# SPDX-License-Identifier: Apache-2.0
"""Weights of SAM 2 (Ravi et al., 2024) in both formats, for the model as transformers has it.

A folder of the transformers' format is loaded as it is. Of the authors' files the tensors are the
same under other names; the names, and the four sizes, were checked against the authors' code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.errors import ModelError
from calib_all_ros.models.libraries import require

# Image encoders (Hiera) of the four sizes; what is not named is the same in all of them.
BACKBONES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "small": {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    "base_plus": {
        "hidden_size": 112,
        "embed_dim_per_stage": [112, 224, 448, 896],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 3, 16, 3],
        "global_attention_blocks": [12, 16, 20],
        "window_positional_embedding_background_size": [14, 14],
    },
    "large": {
        "hidden_size": 144,
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 6, 36, 4],
        "global_attention_blocks": [23, 33, 43],
        "window_size_per_stage": [8, 4, 16, 8],
    },
}

_MLP = r"((?:^|\.)(?:obj_ptr_proj|iou_prediction_head|pred_obj_score_head|output_\w+_mlps\.\d+))"
# Applied in this order, each to what the ones before made of the name.
_RENAMED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (_MLP + r"\.layers\.0\.", r"\1.proj_in."),
        (_MLP + r"\.layers\.2\.", r"\1.proj_out."),
        (_MLP + r"\.layers\.1\.", r"\1.layers.0."),
        (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
        (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
        (r"\.norm(\d?)\.", r".layer_norm\1."),
        (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
        (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
        (r"\.out_proj\.", ".o_proj."),
        (r"\.pix_feat_proj\.", ".feature_projection."),
        (r"\.fuser\.", ".memory_fuser."),
        (r"\.dwconv\.", ".depthwise_conv."),
        (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
        (r"\.gamma$", ".scale"),
        (r"^sam_prompt_encoder\.", "prompt_encoder."),
        (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
        (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
        (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
        (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
        (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
        (
            r"\.pe_layer\.positional_encoding_gaussian_matrix$",
            ".shared_embedding.positional_embedding",
        ),
        (r"^sam_mask_decoder\.", "mask_decoder."),
        (r"\.output_upscaling\.0\.", ".upscale_conv1."),
        (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
        (r"\.output_upscaling\.3\.", ".upscale_conv2."),
        (r"^obj_ptr_proj\.", "object_pointer_proj."),
        (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
        (r"^no_obj_ptr$", "no_object_pointer"),
        (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
        (r"^no_mem_embed$", "no_memory_embedding"),
        (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
        (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
        (r"\.mask_downsampler\.encoder\.12\.", ".mask_downsampler.final_conv."),
    )
)
_DOWNSAMPLER = re.compile(r"\.mask_downsampler\.encoder\.(\d+)\.")
_POINT = "sam_prompt_encoder.point_embeddings.{}.weight"


def load_sam2(checkpoint: FoundCheckpoint) -> Any:
    """Return the ``Sam2VideoModel`` of a checkpoint, in float32 on the CPU, ready for inference.

    Raises:
        ModelUnavailableError: torch or transformers is missing.
        ModelError: the checkpoint cannot be read, or lacks weights of the video model.
    """
    torch = require("torch", "foundation")
    transformers = require("transformers", "foundation")
    transformers.utils.logging.disable_progress_bar()
    where = checkpoint.path
    try:
        if checkpoint.kind == "transformers":
            source: dict[str, Any] = {"pretrained_model_name_or_path": str(where)}
        else:
            state = torch.load(where, map_location="cpu", weights_only=True)["model"]
            source = {
                "pretrained_model_name_or_path": None,
                "config": transformers.Sam2VideoConfig(**video_config(checkpoint.variant)),
                "state_dict": renamed(state, torch.cat),
            }
        model, loading = transformers.Sam2VideoModel.from_pretrained(
            **source,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # every format and library raises its own kinds
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{where} cannot be loaded as SAM 2 ({type(error).__name__}: {reason}): download it "
            "again, or another size"
        ) from error
    lacking = sorted(loading["missing_keys"])
    if lacking:
        raise ModelError(
            f"{where} lacks {len(lacking)} weights of SAM 2's video model, the first is "
            f"{lacking[0]}: use a complete checkpoint such as sam2.1_hiera_small.pt"
        )
    return model.eval()


def video_config(variant: str) -> dict[str, Any]:
    """Return the arguments of ``Sam2VideoConfig`` for a file of the authors.

    Args:
        variant: Its name without suffix, ``sam2.1_hiera_small``; version 2.0 knows neither
            occlusion embeddings nor the time of object pointers.
    """
    generation, _, size = variant.partition("_hiera_")
    backbone = {"model_type": "sam2_hiera_det_model", **BACKBONES[size]}
    vision: dict[str, Any] = {"model_type": "sam2_vision_model", "backbone_config": backbone}
    if "embed_dim_per_stage" in backbone:
        vision["backbone_channel_list"] = backbone["embed_dim_per_stage"][::-1]
    newer = generation == "sam2.1"
    return {
        "vision_config": vision,
        "enable_occlusion_spatial_embedding": newer,
        "enable_temporal_pos_encoding_for_object_pointers": newer,
    }


def renamed(state: Mapping[str, Any], concatenate: Any) -> dict[str, Any]:
    """Return the authors' tensors under the names, and in the groups, that transformers uses.

    Args:
        state: What the file of the authors holds under ``model``.
        concatenate: ``torch.cat``.
    """
    points = [_POINT.format(k) for k in range(4)]
    result = {_renamed(name): tensor for name, tensor in state.items() if name not in points}
    result["prompt_encoder.point_embed.weight"] = concatenate([state[name] for name in points])
    position = "prompt_encoder.shared_embedding.positional_embedding"
    result["shared_image_embedding.positional_embedding"] = result[position].clone()
    return result


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    # Convolution, norm and activation take turns; only the first two have weights.
    return _DOWNSAMPLER.sub(
        lambda m: (
            f".mask_downsampler.layers.{int(m[1]) // 3}.{('conv', 'layer_norm')[int(m[1]) % 3]}."
        ),
        name,
    )
