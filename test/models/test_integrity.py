# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from calib_all_ros.models import integrity
from calib_all_ros.models.checkpoints import find_checkpoint
from calib_all_ros.models.downloads import Download, recommended
from calib_all_ros.models.integrity import sha256_of, size_remark, verify

MakeFolder = Callable[..., Path]
CONTENT = b"published weights"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Download:
    """The only file of SAM 2 that is known has a certain content."""
    download = replace(
        recommended("sam2"),
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setattr(integrity, "DOWNLOADS", (download,))
    return download


def test_sha256_of_more_than_one_chunk(tmp_path: Path) -> None:
    content = b"0123456789abcdef" * (1 << 19)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_the_published_file_is_recognised(tmp_path: Path, published: Download) -> None:
    (tmp_path / published.name).write_bytes(CONTENT)
    found = find_checkpoint("sam2", tmp_path)
    answer = verify("sam2", found)
    assert answer.status == "published"
    assert answer.sha256 == (published.sha256,)
    assert published.name in answer.remark
    assert size_remark("sam2", found) is None


def test_a_damaged_file_differs(tmp_path: Path, published: Download) -> None:
    (tmp_path / published.name).write_bytes(CONTENT[:-1])
    found = find_checkpoint("sam2", tmp_path)
    answer = verify("sam2", found)
    assert answer.status == "differs"
    assert f"download {published.address} again" in answer.remark
    remark = size_remark("sam2", found)
    assert remark is not None
    assert f"has {len(CONTENT) - 1} bytes" in remark


def test_another_file_is_not_judged(
    tmp_path: Path, published: Download, transformers_folder: MakeFolder
) -> None:
    transformers_folder(tmp_path / "my-own-sam2", "sam2_video")
    found = find_checkpoint("sam2", tmp_path)
    answer = verify("sam2", found)
    assert answer.status == "unknown"
    assert answer.sha256 == (hashlib.sha256(b"weights").hexdigest(),)
    assert size_remark("sam2", found) is None


def test_a_folder_is_recognised_under_any_name(
    tmp_path: Path, published: Download, transformers_folder: MakeFolder
) -> None:
    transformers_folder(tmp_path / "renamed", "sam2_video", CONTENT)
    assert verify("sam2", find_checkpoint("sam2", tmp_path)).status == "published"


def test_without_a_published_hash_nothing_is_judged(
    tmp_path: Path, published: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "DOWNLOADS", (replace(published, sha256=None),))
    (tmp_path / published.name).write_bytes(CONTENT)
    answer = verify("sam2", find_checkpoint("sam2", tmp_path))
    assert answer.status == "unknown"
    assert len(answer.sha256[0]) == 64
