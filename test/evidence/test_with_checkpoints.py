# SPDX-License-Identifier: Apache-2.0
"""The whole command with checkpoints of all models on disk: tiny ones with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calib_all_ros.cli import main
from calib_all_ros.models.checkpoints import FoundCheckpoint


@pytest.fixture(scope="module")
def checkpoints(
    tiny_dinov2: Path,
    tiny_grounding_dino: FoundCheckpoint,
    sam2_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("all") / "checkpoints"
    folder.mkdir()
    for found in (tiny_dinov2 / "dinov2-tiny", tiny_grounding_dino.path, sam2_folder):
        (folder / found.name).symlink_to(found)
    return folder


def test_models_that_are_unsure_change_nothing(
    simulated_folder: Path, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Random weights do not tell one place of a white arm from another, and find no arm at all."""
    references = tmp_path / "marks"
    where = ["--pixel", "150,110", "--link", "hand", "--references", str(references)]
    assert main(["mark", "add", str(simulated_folder), *where]) == 0
    capsys.readouterr()
    (tmp_path / "quick.yaml").write_text(
        "frames: {count: 8, background_count: 16}\n"
        "search: {hypotheses: 2500, candidates: 16, finalists: 2, attempts: 1}\n"
    )
    models = ["--checkpoints", str(checkpoints), "--references", str(references)]
    config = ["--config", str(tmp_path / "quick.yaml"), "--device", "cpu", "--json"]
    out = tmp_path / "out"
    assert main(["calibrate", str(simulated_folder), "--out", str(out), *models, *config]) == 0
    result = json.loads(capsys.readouterr().out)
    evidence = {choice["part"]: choice for choice in result["evidence"]}
    assert "the reference recording_000000 is not found surely" in evidence["mark"]["why"]
    assert (out / "mark_heat_map.png").is_file()
    assert evidence["masks"]["used"] == "images"
    assert "the robot was found for sure in none of 6 images" in evidence["masks"]["why"]
    assert result["errors"]["position_mm"] < 20.0
    # Nothing was written beside the recording, for there was nothing to keep.
    assert not list(simulated_folder.parent.glob("*.masks"))
