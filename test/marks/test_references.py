# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from calib_all_ros.marks.references import (
    MarkError,
    add_reference,
    decode,
    load_references,
    read_picture,
    references_folder,
)
from calib_all_ros.results.atomic_file import ResultError

IMAGE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)


def png(image: np.ndarray = IMAGE) -> bytes:
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert encoded
    return bytes(data.tobytes())


def test_what_was_added_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    added = add_reference(folder, png(), ".png", "hand", (3.25, 23.0), "tool0", "fingers open")
    (loaded,) = load_references(folder)
    for mark in (added, loaded):
        assert (mark.name, mark.link, mark.note) == ("hand", "tool0", "fingers open")
        np.testing.assert_array_equal(mark.pixel, [3.25, 23.0])
        np.testing.assert_array_equal(mark.image, IMAGE)
        assert mark.path == folder / "hand.yaml"
    assert (folder / "hand.png").read_bytes() == png()
    assert yaml.safe_load((folder / "hand.yaml").read_text()) == {
        "picture": "hand.png",
        "pixel": [3.25, 23.0],
        "link": "tool0",
        "note": "fingers open",
    }
    assert sorted(path.name for path in folder.iterdir()) == ["hand.png", "hand.yaml"]


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    names = [
        add_reference(tmp_path, png(), ".png", "hand", (u, 3.0), "tool0").name for u in (1, 2, 3)
    ]
    assert names == ["hand", "hand_2", "hand_3"]
    assert [mark.pixel[0] for mark in load_references(tmp_path)] == [1, 2, 3]


def test_names_become_file_names(tmp_path: Path) -> None:
    added = add_reference(tmp_path, png(), ".png", "../my hand/front", (1, 1), "tool0")
    assert added.path == tmp_path / "my_hand_front.yaml"
    assert add_reference(tmp_path, png(), ".png", "..", (2, 1), "tool0").name == "mark"


def test_the_same_mark_is_there_once(tmp_path: Path) -> None:
    add_reference(tmp_path, png(), ".png", "hand", (1, 1), "tool0")
    with pytest.raises(MarkError, match="there already"):
        add_reference(tmp_path, png(), ".png", "other", (1, 1), "tool0")
    assert len(load_references(tmp_path)) == 1


@pytest.mark.parametrize("pixel", [(-0.1, 5), (31.1, 5), (5, 23.5), (float("nan"), 5)])
def test_pixels_outside_are_refused(tmp_path: Path, pixel: tuple[float, float]) -> None:
    with pytest.raises(MarkError, match=r"outside of the picture, which is 32x24"):
        add_reference(tmp_path / "new", png(), ".png", "hand", pixel, "tool0")
    assert not (tmp_path / "new").exists()


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"no picture"):
        with pytest.raises(MarkError, match=r"hand\.png cannot be read as a picture"):
            add_reference(tmp_path, content, ".png", "hand", (1, 1), "tool0")
    with pytest.raises(MarkError, match="link"):
        add_reference(tmp_path, png(), ".png", "hand", (1, 1), " ")
    with pytest.raises(MarkError, match=r"absent\.png: No such file"):
        read_picture(tmp_path / "absent.png")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultError, match="cannot write"):
        add_reference(tmp_path / "file", png(), ".png", "hand", (1, 1), "tool0")


def test_no_folder_has_no_references(tmp_path: Path) -> None:
    assert load_references(tmp_path / "absent") == ()


GOOD = {"picture": "hand.png", "pixel": [1, 2], "link": "tool0"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([1, 2], "must have picture, pixel and link"),
        ({"picture": "hand.png", "pixel": [1, 2]}, "must have picture, pixel and link"),
        ({**GOOD, "pixels": 3}, "nothing else"),
        ({**GOOD, "picture": "../hand.png"}, "name of a file beside it"),
        ({**GOOD, "picture": "absent.png"}, "absent.png: No such file"),
        ({**GOOD, "pixel": [1, 2, 3]}, "two numbers"),
        ({**GOOD, "pixel": "middle"}, "two numbers"),
        ({**GOOD, "pixel": [1, 200]}, "outside of the picture"),
        ({**GOOD, "link": 3}, "name of a link"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, document: object, said: str) -> None:
    (tmp_path / "hand.png").write_bytes(png())
    (tmp_path / "hand.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(MarkError, match=said) as refused:
        load_references(tmp_path)
    assert str(tmp_path) in str(refused.value)


def test_a_note_may_be_missing_and_yaml_be_broken(tmp_path: Path) -> None:
    (tmp_path / "hand.png").write_bytes(png())
    (tmp_path / "hand.yaml").write_text(yaml.safe_dump(GOOD))
    assert load_references(tmp_path)[0].note == ""
    (tmp_path / "hand.yaml").write_text("{")
    with pytest.raises(MarkError, match=r"hand\.yaml cannot be read"):
        load_references(tmp_path)


def test_colours_are_rgb() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_array_equal(decode(png(red), "red.png"), red)


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CALIB_ALL_MARKS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert references_folder(None) == tmp_path / "calib_all_ros" / "marks"
    monkeypatch.setenv("CALIB_ALL_MARKS", str(tmp_path / "marks"))
    assert references_folder(None) == tmp_path / "marks"
    assert references_folder(tmp_path / "given") == tmp_path / "given"
