# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from calib_all_ros.models.downloads import (
    DOWNLOADS,
    MODELS,
    Download,
    download_command,
    how_to_get,
    recommended,
)

FOLDER = Path("/my checkpoints")


def test_every_model_can_be_had() -> None:
    assert {download.model for download in DOWNLOADS} == set(MODELS)
    assert all(recommended(model).model == model for model in MODELS)


@pytest.mark.parametrize("download", DOWNLOADS, ids=lambda download: download.name)
def test_entries_are_well_formed(download: Download) -> None:
    assert download.sha256 is None or re.fullmatch("[0-9a-f]{64}", download.sha256)
    assert download.size_bytes is None or download.size_bytes > 10**7
    assert download.address.startswith("https://")
    assert download.address.endswith(download.name)
    assert Path(download.name).suffix in (".pth", ".pt") or download.kind == "transformers"
    assert not MODELS[download.model].title.startswith("CoTracker") or "NC" in download.licence


@pytest.mark.parametrize("field", ["name", "address", "sha256"])
def test_entries_differ(field: str) -> None:
    values = Counter(getattr(download, field) for download in DOWNLOADS)
    assert values.most_common(1)[0][1] == 1


def test_how_to_get_names_address_size_hash_and_place() -> None:
    file = recommended("cotracker3_offline")
    sentence = how_to_get(file, FOLDER)
    for part in (file.address, "102 MB", "101890938 bytes", str(file.sha256), "CC-BY-NC-4.0"):
        assert part in sentence
    assert sentence.endswith(f"to {FOLDER / 'scaled_offline.pth'}")


def test_what_is_not_known_is_said() -> None:
    unknown = replace(recommended("sam2"), size_bytes=None, sha256=None)
    assert "size not known, SHA-256 not published" in how_to_get(unknown, FOLDER)


def test_commands_survive_a_shell() -> None:
    file, folder = recommended("sam2"), recommended("grounding_dino")
    curl = shlex.split(download_command(file, FOLDER))
    assert curl[0] == "curl"
    assert curl[-2:] == [str(FOLDER / file.name), file.address]
    hub = shlex.split(download_command(folder, FOLDER))
    assert hub[:3] == ["hf", "download", "IDEA-Research/grounding-dino-tiny"]
    assert hub[-2:] == ["--local-dir", str(FOLDER / "grounding-dino-tiny")]
    assert hub[3:5] == ["--exclude", "*.bin"]
