# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from calib_all_ros.models import checkpoints
from calib_all_ros.models.checkpoints import (
    DOWNLOADS,
    MODELS,
    Download,
    FoundCheckpoint,
    checkpoint_folder,
    data_home,
    download_command,
    find_checkpoint,
    how_to_get,
    recommended,
    scan,
    size_remark,
    verify,
)
from calib_all_ros.models.libraries import ModelError, ModelUnavailableError

MakeFolder = Callable[..., Path]


def test_folder_is_what_was_given_else_the_variable_else_the_data_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("CALIB_ALL_CHECKPOINTS", raising=False)
    inside = Path("calib_all_ros/checkpoints")
    assert checkpoint_folder(None) == tmp_path / ".local/share" / inside
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert checkpoint_folder(None) == Path("/data") / inside
    monkeypatch.setenv("CALIB_ALL_CHECKPOINTS", "~/weights")
    assert checkpoint_folder(None) == tmp_path / "weights"
    assert checkpoint_folder(Path("~/given")) == tmp_path / "given"


def test_a_relative_data_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert data_home() == tmp_path / ".local" / "share"


@pytest.mark.parametrize(
    ("model_type", "model"),
    [
        ("dinov2", "dinov2"),
        ("dinov2_with_registers", "dinov2"),
        ("grounding-dino", "grounding_dino"),
        ("sam2", "sam2"),
        ("sam2_video", "sam2"),
    ],
)
def test_folders_are_known_by_their_configuration(
    tmp_path: Path, transformers_folder: MakeFolder, model_type: str, model: str
) -> None:
    path = transformers_folder(tmp_path / "whatever it is called", model_type)
    expected = FoundCheckpoint(path, "transformers", "whatever it is called")
    assert find_checkpoint(model, tmp_path) == expected
    assert expected.weight_files() == (path / "model.safetensors",)
    assert expected.size_bytes() == len(b"weights")


def test_a_checkpoint_can_be_named_itself(tmp_path: Path, transformers_folder: MakeFolder) -> None:
    folder = transformers_folder(tmp_path / "mine", "dinov2")
    transformers_folder(tmp_path / "other", "dinov2", b"larger weights")
    assert find_checkpoint("dinov2", folder).path == folder
    file = tmp_path / "scaled_online.pth"
    file.write_bytes(b"weights")
    assert find_checkpoint("cotracker3_online", file).path == file


def test_a_cache_of_the_hub_is_looked_into(tmp_path: Path, transformers_folder: MakeFolder) -> None:
    snapshot = tmp_path / "models--facebook--sam2.1-hiera-tiny" / "snapshots" / "0a1b2c"
    blob = tmp_path / "models--facebook--sam2.1-hiera-tiny" / "blobs" / "d3ad"
    transformers_folder(snapshot, "sam2_video")
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    found = find_checkpoint("sam2", tmp_path)
    assert found == FoundCheckpoint(snapshot, "transformers", "sam2.1-hiera-tiny")


def test_linked_folders_are_followed_and_circles_end(
    tmp_path: Path, transformers_folder: MakeFolder
) -> None:
    elsewhere = transformers_folder(tmp_path / "elsewhere" / "dino", "dinov2")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "circle").symlink_to(folder)
    (folder / "linked").symlink_to(elsewhere)
    assert find_checkpoint("dinov2", folder).path.resolve() == elsewhere


def test_the_authors_file_inside_a_folder_is_the_same_checkpoint(
    tmp_path: Path, transformers_folder: MakeFolder
) -> None:
    folder = transformers_folder(tmp_path / "sam2.1-hiera-tiny", "sam2_video")
    (folder / "sam2.1_hiera_tiny.pt").write_bytes(b"larger than the other")
    assert [found.path for found in scan(tmp_path)[0]["sam2"]] == [folder]


def test_shards_count_together(tmp_path: Path, transformers_folder: MakeFolder) -> None:
    folder = transformers_folder(tmp_path, "dinov2", b"12")
    (folder / "model-2.safetensors").write_bytes(b"345")
    assert find_checkpoint("dinov2", tmp_path).size_bytes() == 5


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model_type": "bert"}', "\0"])
def test_other_folders_are_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert scan(tmp_path) == ({}, ())


@pytest.mark.parametrize("model", MODELS)
def test_what_is_missing_is_named_with_where_it_comes_from_and_goes(
    tmp_path: Path, model: str
) -> None:
    with pytest.raises(ModelUnavailableError) as error:
        find_checkpoint(model, tmp_path)
    sentence = str(error.value)
    assert f"no checkpoint of {MODELS[model].title} in {tmp_path}" in sentence
    assert "download https://" in sentence
    assert "SHA-256" in sentence
    assert "licence" in sentence
    assert "bytes" in sentence
    assert sentence.count(str(tmp_path)) >= 2


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(ModelUnavailableError, match=f"there is no folder {folder}: download"):
        find_checkpoint("sam2", folder)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of git-lfs"),
        (b"", "is empty"),
    ],
)
def test_what_only_looks_like_a_checkpoint_is_said(
    tmp_path: Path, weights: bytes, reason: str
) -> None:
    path = tmp_path / "scaled_offline.pth"
    path.write_bytes(weights)
    with pytest.raises(ModelUnavailableError, match=rf"{path} .*{reason}.*: download https"):
        find_checkpoint("cotracker3_offline", tmp_path)
    (strange,) = scan(tmp_path)[1]
    assert (strange.model, strange.path) == ("cotracker3_offline", path)


def test_a_folder_without_safetensors_is_said(
    tmp_path: Path, transformers_folder: MakeFolder
) -> None:
    folder = transformers_folder(tmp_path / "dino", "grounding-dino")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailableError, match=r"has a config\.json but no \*\.safetensors"):
        find_checkpoint("grounding_dino", tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        with pytest.raises(ModelError, match="cannot be read"):
            scan(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_read_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ModelError, match=rf"{tmp_path} cannot be read \(Permission denied\)"):
        scan(tmp_path)


FOLDER = Path("/my checkpoints")


def test_every_model_can_be_had() -> None:
    assert {download.model for download in DOWNLOADS} == set(MODELS)
    assert all(recommended(model).model == model for model in MODELS)


@pytest.mark.parametrize("download", DOWNLOADS, ids=lambda download: download.name)
def test_entries_are_well_formed(download: Download) -> None:
    assert re.fullmatch("[0-9a-f]{64}", download.sha256)
    assert download.size_bytes > 10**7
    assert download.address.startswith("https://")
    assert download.address.endswith(download.name)
    assert Path(download.name).suffix == ".pth" or download.kind == "transformers"
    assert not MODELS[download.model].title.startswith("CoTracker") or "NC" in download.licence


@pytest.mark.parametrize("field", ["name", "address", "sha256"])
def test_entries_differ(field: str) -> None:
    values = Counter(getattr(download, field) for download in DOWNLOADS)
    assert values.most_common(1)[0][1] == 1


def test_how_to_get_names_address_size_hash_and_place() -> None:
    file = recommended("cotracker3_offline")
    sentence = how_to_get(file, FOLDER)
    for part in (file.address, "102 MB", "101890938 bytes", file.sha256, "CC-BY-NC-4.0"):
        assert part in sentence
    assert sentence.endswith(download_command(file, FOLDER))


CONTENT = b"published weights"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Download:
    """What is known of CoTracker3 and of SAM 2 has a certain content."""
    download = replace(
        recommended("cotracker3_offline"),
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    folder = replace(download, model="sam2", kind="transformers", name="sam2.1")
    monkeypatch.setattr(checkpoints, "DOWNLOADS", (download, folder))
    return download


def test_the_published_file_is_recognised(tmp_path: Path, published: Download) -> None:
    (tmp_path / published.name).write_bytes(CONTENT)
    found = find_checkpoint("cotracker3_offline", tmp_path)
    answer = verify("cotracker3_offline", found)
    assert answer.status == "published"
    assert answer.sha256 == (published.sha256,)
    assert published.name in answer.remark
    assert size_remark("cotracker3_offline", found) is None


def test_a_damaged_file_differs(tmp_path: Path, published: Download) -> None:
    (tmp_path / published.name).write_bytes(CONTENT[:-1])
    found = find_checkpoint("cotracker3_offline", tmp_path)
    answer = verify("cotracker3_offline", found)
    assert answer.status == "differs"
    assert f"download {published.address} again" in answer.remark
    remark = size_remark("cotracker3_offline", found)
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


def test_commands_survive_a_shell() -> None:
    file, folder = recommended("cotracker3_online"), recommended("grounding_dino")
    curl = shlex.split(download_command(file, FOLDER))
    assert curl[0] == "curl"
    assert curl[-2:] == [str(FOLDER / file.name), file.address]
    hub = shlex.split(download_command(folder, FOLDER))
    assert hub[:3] == ["hf", "download", "IDEA-Research/grounding-dino-tiny"]
    assert hub[-2:] == ["--local-dir", str(FOLDER / "grounding-dino-tiny")]
    assert hub[3:5] == ["--exclude", "*.bin"]
    assert "*.pt" in download_command(recommended("sam2"), FOLDER)


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_files_of_cotracker_are_known_by_name(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"scaled_{mode}.pth"
    path.write_bytes(b"weights")
    expected = FoundCheckpoint(path, "original", f"scaled_{mode}")
    assert find_checkpoint(f"cotracker3_{mode}", tmp_path) == expected
    assert scan(tmp_path)[0].keys() == {f"cotracker3_{mode}"}


@pytest.mark.parametrize(
    ("name", "model", "repository"),
    [
        ("dinov2_vits14_pretrain.pth", "dinov2", "facebook/dinov2-small"),
        ("dinov2_vitl14_reg4_pretrain.pth", "dinov2", "facebook/dinov2-large"),
        ("dinov2_vitg14_pretrain.pth", "dinov2", "facebook/dinov2-base"),
        ("groundingdino_swint_ogc.pth", "grounding_dino", "IDEA-Research/grounding-dino-tiny"),
        ("groundingdino_swinb_cogcoor.pth", "grounding_dino", "IDEA-Research/grounding-dino-base"),
        ("sam2.1_hiera_base_plus.pt", "sam2", "facebook/sam2.1-hiera-base-plus"),
        ("sam2_hiera_tiny.pt", "sam2", "facebook/sam2.1-hiera-tiny"),
    ],
)
def test_for_a_file_of_the_authors_the_folder_to_fetch_is_named(
    tmp_path: Path, transformers_folder: MakeFolder, name: str, model: str, repository: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"weights")
    for given in (tmp_path, path):
        with pytest.raises(ModelUnavailableError) as error:
            find_checkpoint(model, given)
        sentence = str(error.value)
        assert sentence.startswith(f"{path} is a file of ")
        target = tmp_path / repository.partition("/")[2]
        assert f"hf download {repository} " in sentence and str(target) in sentence
    # Beside a folder it does no harm.
    folder = transformers_folder(tmp_path / "folder", MODELS[model].model_types[0])
    assert find_checkpoint(model, tmp_path).path == folder


def test_of_several_the_largest_is_taken(tmp_path: Path, transformers_folder: MakeFolder) -> None:
    for name, content in (("a", b"12"), ("b", b"1234"), ("c", b"123")):
        transformers_folder(tmp_path / name, "dinov2", content)
    assert find_checkpoint("dinov2", tmp_path).path == tmp_path / "b"
    found, unusable = scan(tmp_path)
    assert [checkpoint.size_bytes() for checkpoint in found["dinov2"]] == [4, 3, 2]
    assert unusable == ()


def test_a_link_to_nowhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "scaled_online.pth").symlink_to(tmp_path / "gone")
    with pytest.raises(ModelUnavailableError, match="cannot be read"):
        find_checkpoint("cotracker3_online", tmp_path)


def test_a_good_checkpoint_serves_beside_a_bad_one(
    tmp_path: Path, transformers_folder: MakeFolder
) -> None:
    transformers_folder(tmp_path / "bad", "sam2", b"")
    good = transformers_folder(tmp_path / "good", "sam2")
    assert find_checkpoint("sam2", tmp_path).path == good
