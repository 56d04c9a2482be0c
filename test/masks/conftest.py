# SPDX-License-Identifier: Apache-2.0
"""Tiny checkpoints of the models that make masks: random weights, real formats, real loading."""

from __future__ import annotations

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
