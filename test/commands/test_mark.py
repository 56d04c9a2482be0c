# SPDX-License-Identifier: Apache-2.0
"""`calib_all mark`: what it reads, prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.cli import main, parse
from calib_all_ros.commands import mark as command
from calib_all_ros.commands.options import CommandError
from calib_all_ros.errors import CalibAllError
from calib_all_ros.marks.finder import ReferenceMarkFinder
from calib_all_ros.marks.matching import FeatureMap, MatchLimits, on_patch_grid, unit_length
from calib_all_ros.marks.references import MarkError, NoReferencesError, load_references
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.results.run_log import RunLog


class Colours:
    """Stands in for a model: the colours of the patches, which do find an identical one."""

    name = "colours"

    def __call__(self, image: np.ndarray, /) -> FeatureMap:
        pixels, grid = on_patch_grid(image, 8, 320)
        rows, columns = (side // 8 for side in pixels.shape[:2])
        patches = pixels.reshape(rows, 8, columns, 8, 3).swapaxes(1, 2).reshape(rows, columns, -1)
        centred = patches - patches.mean(axis=2, keepdims=True)
        return FeatureMap(unit_length(centred).astype(np.float32), grid)


def run(*arguments: object) -> int:
    options = parse(["mark", *(str(argument) for argument in arguments)])[1]
    with RunLog(["mark"]) as log:
        return command.run(options, log)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    path = tmp_path / "hand.png"
    cv2.imwrite(str(path), cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC))
    return path


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find with colours instead of DINOv2."""

    def make(
        folder: Path, checkpoints: Path, device: str, link: str | None, limits: MatchLimits
    ) -> ReferenceMarkFinder:
        assert device == "cpu"
        chosen = [mark for mark in load_references(folder) if link in (None, mark.link)]
        return ReferenceMarkFinder(chosen, Colours(), limits)

    monkeypatch.setattr(command, "make_mark_finder", make)


def add(picture: Path, marks: Path, pixel: str = "164,100", link: str = "tool0") -> int:
    return run("add", picture, "--pixel", pixel, "--link", link, "--references", marks, "--quiet")


def test_added_marks_are_listed(
    picture: Path, marks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--pixel", "12.5,30", "--link", "tool0", "--note", "open", "--references", marks]
    assert run("add", picture, *arguments) == 0
    assert str(marks / "hand.yaml") in capsys.readouterr().out
    assert run("list", "--references", marks) == 0
    printed = capsys.readouterr().out
    assert "1 reference mark(s)" in printed
    assert "hand, (12.5, 30) of 320x240, tool0: open" in printed
    assert run("list", "--references", marks, "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)["references"]
    assert listed["pixel"] == [12.5, 30.0] and listed["link"] == "tool0"
    assert (marks / "hand.png").read_bytes() == picture.read_bytes()


def test_an_image_of_a_recording_is_a_reference(
    simulated_folder: Path, marks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--pixel", "30,40", "--link", "tool0", "--references", marks, "--name", "demo"]
    assert run("add", simulated_folder, "--frame", "3", *arguments) == 0
    (reference,) = load_references(marks)
    assert reference.name == "demo"
    with_opencv = cv2.imread(str(sorted((simulated_folder / "frames").iterdir())[3]))
    np.testing.assert_array_equal(reference.image, cv2.cvtColor(with_opencv, cv2.COLOR_BGR2RGB))
    with pytest.raises(CommandError, match=r"no image 99 in .*it has 20"):
        run("add", simulated_folder, "--frame", "99", *arguments)


def test_wrong_input_is_told(picture: Path, marks: Path, tmp_path: Path) -> None:
    with pytest.raises(MarkError, match="outside of the picture, which is 320x240"):
        add(picture, marks, "320,100")
    with pytest.raises(MarkError, match=r"absent\.png: No such file"):
        add(tmp_path / "absent.png", marks)
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(MarkError, match=r"text\.png cannot be read as a picture"):
        add(tmp_path / "text.png", marks)
    with pytest.raises(CalibAllError, match="absent"):
        add(tmp_path / "absent", marks)
    with pytest.raises(CommandError, match="is not U,V"):
        add(picture, marks, "12")
    with pytest.raises(CommandError, match="--frame goes with a recording"):
        run("find", picture, "--frame", "2", "--references", marks, "--device", "cpu")
    assert not marks.exists()


def test_found(
    model: None, picture: Path, marks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(picture, marks)
    moved = cv2.warpAffine(
        cv2.imread(str(picture)), np.array([[1.0, 0, 16], [0, 1.0, -24]]), (320, 240)
    )
    cv2.imwrite(str(tmp_path / "moved.png"), moved)
    out = tmp_path / "out"
    find = ["find", tmp_path / "moved.png", "--references", marks, "--device", "cpu", "--out", out]
    assert run(*find) == 0
    printed = capsys.readouterr().out
    assert "colours found the mark at (180" in printed and "--eef-link tool0" in printed
    assert str(out / "mark_heat_map.png") in printed
    assert cv2.imread(str(out / "mark_heat_map.png")).shape[1] > 1000
    assert run(*find, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(document["pixel"], [180.0, 76.0], atol=1.0)
    assert document["link"] == "tool0" and document["similarity"] > 0.9
    assert document["votes"][0]["agrees"] and document["votes"][0]["doubts"] == []
    assert document["files"] == [str(out / "mark_heat_map.png")]


def test_found_in_a_recording(
    model: None, simulated_folder: Path, marks: Path, tmp_path: Path
) -> None:
    recorded = ["--references", marks, "--frame", "2", "--quiet"]
    assert run("add", simulated_folder, "--pixel", "160,120", "--link", "tool0", *recorded) == 0
    options = ["--device", "cpu", "--out", tmp_path, "--margin", "0", "--similarity", "0.4"]
    assert run("find", simulated_folder, *recorded, *options) == 0
    assert (tmp_path / "mark_heat_map.png").is_file()


def test_an_unsure_match_is_an_error_and_leaves_the_heat_map(
    model: None, picture: Path, marks: Path, tmp_path: Path
) -> None:
    add(picture, marks)
    other = np.random.default_rng(1).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "other.png"), other)
    heat_map = tmp_path / "out" / "mark_heat_map.png"
    with pytest.raises(CommandError, match=r"not found surely.*heat map: .*map\.png") as unsure:
        run(
            *("find", tmp_path / "other.png", "--references", marks),
            *("--device", "cpu", "--out", tmp_path / "out"),
        )
    assert heat_map.is_file() and str(heat_map) in str(unsure.value)


def test_exit_codes(
    model: None,
    picture: Path,
    marks: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add(picture, marks)
    options = ["--references", str(marks), "--device", "cpu", "--out", str(tmp_path), "--json"]
    assert main(["mark", "find", str(picture), *options]) == 0
    capsys.readouterr()
    assert main(["mark", "find", str(picture), *options, "--margin", "1"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 2 and "mark_heat_map.png" in document["error"]
    assert main(["mark", "add", str(picture), "--pixel", "-1,2", "--link", "tool0"]) == 2
    assert "outside of the picture" in capsys.readouterr().err


def test_only_the_references_of_a_link(
    model: None, picture: Path, marks: Path, tmp_path: Path
) -> None:
    add(picture, marks)
    add(picture, marks, "40,200", "elbow")
    find = ["find", picture, "--references", marks, "--device", "cpu", "--out", tmp_path, "--quiet"]
    with pytest.raises(CommandError, match="found in different places"):
        run(*find)
    assert run(*find, "--link", "elbow") == 0


def test_limits_of_the_user(model: None, picture: Path, marks: Path, tmp_path: Path) -> None:
    add(picture, marks)
    find = ["find", picture, "--references", marks, "--device", "cpu", "--out", tmp_path, "--quiet"]
    assert run(*find) == 0
    with pytest.raises(CommandError, match="nearly as similar"):
        run(*find, "--margin", "1")
    with pytest.raises(CommandError, match="not a number from 0 to 1"):
        run(*find, "--similarity", "2")


def test_what_is_missing_is_told(picture: Path, marks: Path, tmp_path: Path) -> None:
    find = ["find", picture, "--references", marks, "--checkpoints", tmp_path / "absent"]
    with pytest.raises(NoReferencesError, match="calib_all mark add"):
        run(*find)
    add(picture, marks)
    with pytest.raises(ModelUnavailableError, match="DINOv2"):
        run(*find)
