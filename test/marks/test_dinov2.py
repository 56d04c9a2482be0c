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
from calib_all_ros.marks.finder import ReferenceMarkFinder, make_mark_finder
from calib_all_ros.marks.matching import MatchLimits, on_patch_grid, unit_length
from calib_all_ros.marks.references import MarkError, ReferenceMark, add_reference
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint
from calib_all_ros.models.libraries import ModelError

REASON = "torch and transformers are not installed: pip install '.[foundation]'"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)

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
    found = ReferenceMarkFinder([reference(image, mark)], features).find(there)
    np.testing.assert_allclose(found.pixel, (mark[0] + u, mark[1] + v), atol=1.0)
    assert found.similarity > 0.95


def test_half_a_patch_is_found_too(features: Dinov2Features) -> None:
    scene = cv2.GaussianBlur(texture(240, 320), (0, 0), 8.0)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    image, there = scene[60:180, 80:240], scene[55:175, 76:236]
    # Blurred colours all look alike to random weights.
    limits = MatchLimits(margin=0.0)
    found = ReferenceMarkFinder([reference(image, (85.0, 52.0))], features, limits).find(there)
    # Rounded to patches of 10 px it would be up to 5 px off along each axis.
    np.testing.assert_allclose(found.pixel, (89.0, 57.0), atol=2.0)


def test_factory_loads_what_is_on_disk(tiny_dinov2: Path, tmp_path: Path) -> None:
    image = texture(480, 640)
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    add_reference(tmp_path, encoded, ".png", "hand", (385.0, 252.0), "tool0")
    finder = make_mark_finder(tmp_path, tiny_dinov2, "cpu")
    np.testing.assert_allclose(finder.find(image).pixel, (385.0, 252.0), atol=1.0)


def random_model(registers: int, gated: bool) -> Any:
    """A model whose random weights all differ from those it starts with."""
    kind = "Dinov2WithRegisters" if registers else "Dinov2"
    more = {"num_register_tokens": registers} if registers else {}
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=224,
        patch_size=14,
        use_swiglu_ffn=gated,
        **more,
    )
    model = getattr(transformers, f"{kind}Model")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


@pytest.mark.parametrize(("registers", "gated"), [(0, False), (4, False), (0, True)])
def test_features_are_the_patch_tokens(tmp_path: Path, registers: int, gated: bool) -> None:
    model = random_model(registers, gated).eval()
    model.save_pretrained(tmp_path / "dinov2")
    extractor = Dinov2Features(find_checkpoint("dinov2", tmp_path), "cpu", WORKING_PX)
    for image in (texture(160, 160), texture(120, 160)):
        pixels, _ = on_patch_grid(image, 14, WORKING_PX)
        with torch.inference_mode():
            tokens = model(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))[0][0]
        # The class token comes first, then the registers.
        rows, columns = pixels.shape[0] // 14, pixels.shape[1] // 14
        expected = tokens[-rows * columns :].reshape(rows, columns, 128).numpy()
        assert len(tokens) == 1 + registers + rows * columns
        np.testing.assert_allclose(extractor(image).features, unit_length(expected), atol=2e-5)


def test_what_cannot_be_loaded_is_told(tiny_dinov2: Path, tmp_path: Path) -> None:
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


def test_images_are_checked(features: Dinov2Features) -> None:
    with pytest.raises(MarkError, match="RGB"):
        features(np.zeros((10, 10), np.uint8))
