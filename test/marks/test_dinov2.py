# SPDX-License-Identifier: Apache-2.0
"""DINOv2 with small random weights, through the real loading and inference."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.marks.dinov2 import Dinov2Features
from calib_all_ros.marks.errors import MarkError
from calib_all_ros.marks.feature_map import on_patch_grid, unit_length
from calib_all_ros.marks.finder import MarkFinder, make_mark_finder
from calib_all_ros.marks.matching import MatchLimits
from calib_all_ros.marks.references import ReferenceMark, add_reference
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint
from calib_all_ros.models.errors import ModelError

REASON = "torch and transformers are not installed: pip install '.[foundation]'"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)
functional = torch.nn.functional

WORKING_PX = 224


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image in which every place looks different."""
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3))
    image = cv2.resize(coarse.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image)


@pytest.fixture(scope="module")
def features(tiny_dinov2: Path) -> Dinov2Features:
    return Dinov2Features(find_checkpoint("dinov2", tiny_dinov2), "cpu", WORKING_PX)


def test_shapes_and_coordinates(features: Dinov2Features) -> None:
    assert features.name == "DINOv2 (dinov2-tiny)"
    for height, width, shape in ((120, 160, (12, 16)), (160, 120, (16, 12)), (90, 160, (9, 16))):
        found = features(texture(height, width))
        assert found.features.shape == (*shape, 64) and found.features.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found.features, axis=2), 1.0, atol=1e-5)
        np.testing.assert_allclose(found.grid.step_px, 10.0, rtol=0.01)
    again = features(texture(90, 160))
    np.testing.assert_array_equal(again.features, found.features)


def test_patches_lie_in_rows(features: Dinov2Features) -> None:
    """What changes in one corner of the image changes most there in the map."""
    image = texture(120, 160)
    changed = image.copy()
    changed[:20, 140:] = 255 - changed[:20, 140:]
    likeness = (features(image).features * features(changed).features).sum(axis=2)
    assert np.unravel_index(likeness.argmin(), likeness.shape) in [
        (0, 14),
        (0, 15),
        (1, 14),
        (1, 15),
    ]


def reference(image: np.ndarray, pixel: tuple[float, float]) -> ReferenceMark:
    return ReferenceMark("hand", image, np.array(pixel), "tool0", "", Path("hand.yaml"))


@pytest.mark.parametrize("moved", [(0, 0), (20, 0), (-30, 20)])
def test_a_moved_picture_moves_the_match(features: Dinov2Features, moved: tuple[int, int]) -> None:
    scene = texture(240, 320)
    image = scene[60:180, 80:240]
    u, v = moved
    there = scene[60 - v : 180 - v, 80 - u : 240 - u]
    mark = (85.0, 52.0)
    found = MarkFinder([reference(image, mark)], features).find(there)
    np.testing.assert_allclose(found.pixel, (mark[0] + u, mark[1] + v), atol=1.0)
    assert found.similarity > 0.95


def test_half_a_patch_is_found_too(features: Dinov2Features) -> None:
    scene = cv2.GaussianBlur(texture(240, 320), (0, 0), 8.0)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    image, there = scene[60:180, 80:240], scene[55:175, 76:236]
    # Blurred colours all look alike to random weights.
    limits = MatchLimits(margin=0.0)
    found = MarkFinder([reference(image, (85.0, 52.0))], features, limits).find(there)
    # Rounded to patches of 10 px it would be up to 5 px off along each axis.
    np.testing.assert_allclose(found.pixel, (89.0, 57.0), atol=2.0)


def test_factory_loads_what_is_on_disk(tiny_dinov2: Path, tmp_path: Path) -> None:
    image = texture(480, 640)
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    add_reference(tmp_path, encoded, ".png", "hand", (385.0, 252.0), "tool0")
    finder = make_mark_finder(tmp_path, tiny_dinov2, "cpu")
    np.testing.assert_allclose(finder.find(image).pixel, (385.0, 252.0), atol=1.0)


def random_state(registers: int, gated: bool) -> dict[str, Any]:
    """Random weights under the authors' names."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Any:
        return 0.05 * torch.randn(*shape, generator=generator)

    hidden, inner = 128, (int(512 * 2 / 3) + 7) // 8 * 8 if gated else 512
    state = {
        "cls_token": drawn(1, 1, hidden),
        "pos_embed": drawn(1, 1 + 16 * 16, hidden),
        "mask_token": drawn(1, hidden),
        "patch_embed.proj.weight": drawn(hidden, 3, 14, 14),
        "patch_embed.proj.bias": drawn(hidden),
        "norm.weight": 1 + drawn(hidden),
        "norm.bias": drawn(hidden),
    }
    if registers:
        state["register_tokens"] = drawn(1, registers, hidden)
    for layer in range(3):
        block = {
            "norm1.weight": 1 + drawn(hidden),
            "norm1.bias": drawn(hidden),
            "attn.qkv.weight": drawn(3 * hidden, hidden),
            "attn.qkv.bias": drawn(3 * hidden),
            "attn.proj.weight": drawn(hidden, hidden),
            "attn.proj.bias": drawn(hidden),
            "ls1.gamma": 1 + drawn(hidden),
            "norm2.weight": 1 + drawn(hidden),
            "norm2.bias": drawn(hidden),
            "ls2.gamma": 1 + drawn(hidden),
        }
        first, last = ("w12", "w3") if gated else ("fc1", "fc2")
        wide = 2 * inner if gated else inner
        block |= {f"mlp.{first}.weight": drawn(wide, hidden), f"mlp.{first}.bias": drawn(wide)}
        block |= {f"mlp.{last}.weight": drawn(hidden, inner), f"mlp.{last}.bias": drawn(hidden)}
        state |= {f"blocks.{layer}.{name}": value for name, value in block.items()}
    return state


def patch_tokens(state: dict[str, Any], pixels: Any) -> Any:
    """The vision transformer of the DINOv2 paper, written down from its description."""
    hidden, heads = 128, 2
    patches = functional.conv2d(
        pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14
    )
    rows, columns = patches.shape[2:]
    places = state["pos_embed"][:, 1:].reshape(1, 16, 16, hidden).permute(0, 3, 1, 2)
    if (rows, columns) != (16, 16):
        places = functional.interpolate(
            places,
            size=(rows, columns),
            mode="bicubic",
            antialias="register_tokens" in state,
        )
    tokens = (patches + places).flatten(2).transpose(1, 2)
    first = [state["cls_token"] + state["pos_embed"][:, :1]]
    first += [state["register_tokens"]] if "register_tokens" in state else []
    before = sum(part.shape[1] for part in first)
    x = torch.cat([*first, tokens], dim=1)

    def normalised(x: Any, name: str) -> Any:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return functional.layer_norm(x, (hidden,), weight, bias, 1e-6)

    def linear(x: Any, name: str) -> Any:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    for layer in range(3):
        block = f"blocks.{layer}"
        qkv = linear(normalised(x, f"{block}.norm1"), f"{block}.attn.qkv")
        q, k, v = qkv.reshape(1, -1, 3, heads, hidden // heads).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) * (hidden // heads) ** -0.5, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(1, -1, hidden)
        x = x + state[f"{block}.ls1.gamma"] * linear(mixed, f"{block}.attn.proj")
        inner = normalised(x, f"{block}.norm2")
        if f"{block}.mlp.w12.weight" in state:
            gate, value = linear(inner, f"{block}.mlp.w12").chunk(2, dim=-1)
            inner = linear(functional.silu(gate) * value, f"{block}.mlp.w3")
        else:
            inner = linear(functional.gelu(linear(inner, f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
        x = x + state[f"{block}.ls2.gamma"] * inner
    return normalised(x, "norm")[0, before:].reshape(rows, columns, hidden)


@pytest.mark.parametrize(
    ("name", "registers", "gated"),
    [
        ("dinov2_vits14_pretrain.pth", 0, False),
        ("dinov2_vitb14_reg4_pretrain.pth", 4, False),
        ("dinov2_vitg14_pretrain.pth", 0, True),
    ],
)
def test_the_authors_files_give_the_authors_features(
    tmp_path: Path, name: str, registers: int, gated: bool
) -> None:
    state = random_state(registers, gated)
    torch.save(state, tmp_path / name)
    checkpoint = FoundCheckpoint(tmp_path / name, "original", "tiny")
    extractor = Dinov2Features(checkpoint, "cpu", WORKING_PX)
    for image in (texture(160, 160), texture(120, 160)):
        pixels, _ = on_patch_grid(image, 14, WORKING_PX)
        with torch.inference_mode():
            expected = patch_tokens(state, torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))
        np.testing.assert_allclose(
            extractor(image).features, unit_length(expected.numpy()), atol=2e-5
        )


def test_what_cannot_be_loaded_is_told(tiny_dinov2: Path, tmp_path: Path) -> None:
    broken = tmp_path / "dinov2_vits14_pretrain.pth"
    broken.write_bytes(b"no weights")
    checkpoint = FoundCheckpoint(broken, "original", "vits14")
    with pytest.raises(ModelError, match=r"pretrain\.pth cannot .* download it again"):
        Dinov2Features(checkpoint, "cpu")
    torch.save({"something": torch.zeros(3)}, broken)
    with pytest.raises(ModelError, match="no weights of DINOv2"):
        Dinov2Features(checkpoint, "cpu")
    folder = tmp_path / "folder"
    shutil.copytree(tiny_dinov2 / "dinov2-tiny", folder)
    config = json.loads((folder / "config.json").read_text())
    # With one layer more, transformers would make up that layer's weights.
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"lacks \d+ of DINOv2's weights .*download it again"):
        Dinov2Features(FoundCheckpoint(folder, "transformers", "tiny"), "cpu")
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="folder cannot be loaded as DINOv2"):
        Dinov2Features(FoundCheckpoint(folder, "transformers", "tiny"), "cpu")


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save({"cls_token": Trap()}, path)
    with pytest.raises(ModelError, match="holds more than tensors") as refused:
        Dinov2Features(FoundCheckpoint(path, "original", "vits14"), "cpu")
    assert "weights_only" not in str(refused.value)
    assert not (tmp_path / "sprung").exists()


def test_images_are_checked(features: Dinov2Features) -> None:
    with pytest.raises(MarkError, match="RGB"):
        features(np.zeros((10, 10), np.uint8))
