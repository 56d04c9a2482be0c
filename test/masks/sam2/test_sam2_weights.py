# SPDX-License-Identifier: Apache-2.0
"""Both formats of the weights through the real loading code."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import pytest

from calib_all_ros.masks.sam2_weights import load_sam2, renamed, video_config
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint
from calib_all_ros.models.errors import ModelError

REASON = "SAM 2: pip install '.[foundation]'"
# Names as they are in the authors' files and in the folders on the Hugging Face Hub.
NAMES = {
    "image_encoder.trunk.pos_embed": "vision_encoder.backbone.pos_embed",
    "image_encoder.trunk.patch_embed.proj.weight": (
        "vision_encoder.backbone.patch_embed.projection.weight"
    ),
    "image_encoder.trunk.blocks.10.norm1.bias": (
        "vision_encoder.backbone.blocks.10.layer_norm1.bias"
    ),
    "image_encoder.trunk.blocks.0.mlp.layers.1.weight": (
        "vision_encoder.backbone.blocks.0.mlp.proj_out.weight"
    ),
    "image_encoder.neck.convs.3.conv.bias": "vision_encoder.neck.convs.3.bias",
    "memory_attention.layers.0.cross_attn_image.out_proj.bias": (
        "memory_attention.layers.0.cross_attn_image.o_proj.bias"
    ),
    "memory_attention.norm.weight": "memory_attention.layer_norm.weight",
    "memory_encoder.mask_downsampler.encoder.0.weight": (
        "memory_encoder.mask_downsampler.layers.0.conv.weight"
    ),
    "memory_encoder.mask_downsampler.encoder.10.bias": (
        "memory_encoder.mask_downsampler.layers.3.layer_norm.bias"
    ),
    "memory_encoder.mask_downsampler.encoder.12.weight": (
        "memory_encoder.mask_downsampler.final_conv.weight"
    ),
    "memory_encoder.fuser.layers.1.gamma": "memory_encoder.memory_fuser.layers.1.scale",
    "memory_encoder.fuser.layers.0.pwconv2.bias": (
        "memory_encoder.memory_fuser.layers.0.pointwise_conv2.bias"
    ),
    "memory_encoder.out_proj.weight": "memory_encoder.projection.weight",
    "sam_prompt_encoder.mask_downscaling.4.bias": "prompt_encoder.mask_embed.layer_norm2.bias",
    "sam_mask_decoder.transformer.layers.1.mlp.layers.0.bias": (
        "mask_decoder.transformer.layers.1.mlp.proj_in.bias"
    ),
    "sam_mask_decoder.transformer.norm_final_attn.weight": (
        "mask_decoder.transformer.layer_norm_final_attn.weight"
    ),
    "sam_mask_decoder.output_upscaling.3.weight": "mask_decoder.upscale_conv2.weight",
    "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.weight": (
        "mask_decoder.output_hypernetworks_mlps.2.layers.0.weight"
    ),
    "sam_mask_decoder.iou_prediction_head.layers.2.bias": (
        "mask_decoder.iou_prediction_head.proj_out.bias"
    ),
    "obj_ptr_proj.layers.0.weight": "object_pointer_proj.proj_in.weight",
    "obj_ptr_tpos_proj.bias": "temporal_positional_encoding_projection_layer.bias",
    "no_obj_embed_spatial": "occlusion_spatial_embedding_parameter",
    "no_obj_ptr": "no_object_pointer",
    "maskmem_tpos_enc": "memory_temporal_positional_encoding",
    "mask_downsample.weight": "mask_downsample.weight",
}


def test_names() -> None:
    points = [f"sam_prompt_encoder.point_embeddings.{k}.weight" for k in range(4)]
    position = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    state = {name: pytest.approx(k) for k, name in enumerate((*NAMES, *points))}
    found = renamed({**state, position: _Tensor()}, list)
    assert {new: found[new] for new in NAMES.values()} == {NAMES[n]: state[n] for n in NAMES}
    assert found["prompt_encoder.point_embed.weight"] == [state[name] for name in points]
    assert "shared_image_embedding.positional_embedding" in found
    assert len(found) == len(NAMES) + 3


class _Tensor:
    def clone(self) -> _Tensor:
        return self


# The publishers round these to 38.9, 46, 80.8 and 224.4 million.
@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("sam2.1_hiera_tiny", 38_962_498),
        ("sam2.1_hiera_small", 46_060_354),
        ("sam2.1_hiera_base_plus", 80_850_178),
        ("sam2.1_hiera_large", 224_446_642),
        ("sam2_hiera_tiny", 38_945_986),
    ],
)
def test_sizes_are_those_of_the_published_models(variant: str, parameters: int) -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    transformers = pytest.importorskip("transformers", reason=REASON)
    with torch.device("meta"):
        model = transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**video_config(variant)))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.usefixtures("tiny_variant")
def test_both_formats_give_the_same_model(checkpoint: FoundCheckpoint, sam2_original: Path) -> None:
    folder = load_sam2(checkpoint)
    original = load_sam2(find_checkpoint("sam2", sam2_original.parent))
    states = folder.state_dict(), original.state_dict()
    assert set(states[0]) == set(states[1])
    differing = [name for name in states[0] if (states[0][name] != states[1][name]).any()]
    assert differing == []
    assert not folder.training and not original.training
    assert {str(p.dtype) for p in original.parameters()} == {"torch.float32"}


def test_a_folder_of_half_precision_is_loaded_in_single(
    checkpoint: FoundCheckpoint, tmp_path: Path
) -> None:
    load_sam2(checkpoint).half().save_pretrained(tmp_path)
    loaded = load_sam2(find_checkpoint("sam2", tmp_path))
    assert {str(p.dtype) for p in loaded.parameters()} == {"torch.float32"}


def test_a_folder_without_the_memory_is_refused(
    checkpoint: FoundCheckpoint, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers", reason=REASON)
    image_only = transformers.Sam2Model.from_pretrained(checkpoint.path)
    image_only.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks \d+ weights of SAM 2's video model"):
        load_sam2(find_checkpoint("sam2", tmp_path))


@pytest.mark.usefixtures("tiny_variant")
def test_a_damaged_file_is_named(sam2_original: Path, tmp_path: Path) -> None:
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    path.write_bytes(sam2_original.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"sam2.1_hiera_tiny.pt cannot be loaded as SAM 2"):
        load_sam2(find_checkpoint("sam2", tmp_path))


def test_a_file_with_code_in_it_is_not_run(sam2_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(
        pickle.dumps({"model": _Harmful(tmp_path)}, protocol=2)
    )
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_sam2(find_checkpoint("sam2", tmp_path))
    assert not (tmp_path / "harm").exists()


class _Harmful(OrderedDict[str, int]):
    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.mkdir, (self._place / "harm",))
