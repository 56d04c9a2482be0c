# SPDX-License-Identifier: Apache-2.0
"""The whole command, on this installation and on broken ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.cli import main
from calib_all_ros.commands.doctor import examine
from calib_all_ros.commands.doctor_report import as_text
from calib_all_ros.models.checkpoints import MODELS

FATAL = {"numpy": "raise ImportError('libopenblas')", "torch": "import os; os.abort()"}
PROGRAM = """
import json, sys
from pathlib import Path
from calib_all_ros.cli import main
from calib_all_ros.commands.doctor import examine
print(json.dumps(examine(Path(sys.argv[1]))))
print(json.dumps([name for name in ("numpy", "torch", "yaml", "cv2") if name in sys.modules]))
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file that is not what its name says, and with half a file."""
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "scaled_offline.pth").write_bytes(b"nothing?!")
    (folder / "scaled_online.pth").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def document(checkpoints: Path) -> dict[str, Any]:
    """This installation."""
    return examine(checkpoints, verified=True)


def test_this_installation_works(document: dict[str, Any]) -> None:
    assert document["core"]["works"]
    assert document["system"]["numba_threads"] >= 1
    built_in = {"given pixel", "Lucas-Kanade", "recorded", "from the images", "CPU rasteriser"}
    available = {backend["name"] for backend in document["backends"] if backend["available"]}
    assert built_in <= available
    assert set(document["folders"]) == {"checkpoints", "reference marks", "results"}


def test_checkpoints_are_listed_with_what_is_wrong(
    document: dict[str, Any], checkpoints: Path
) -> None:
    listed = document["checkpoints"]
    (found,) = listed["found"]
    assert found["path"] == str(checkpoints / "scaled_offline.pth")
    assert found["used"]
    assert "has 9 bytes" in found["remark"]
    assert found["integrity"]["status"] == "differs"
    (strange,) = listed["unusable"]
    assert strange["reason"] == "is empty"
    missing = [entry["model"] for entry in listed["missing"]]
    assert missing == [model for model in MODELS if model != "cotracker3_offline"]


def test_the_document_is_json_and_the_text_says_the_same(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=False))["core"] == json.loads(
        json.dumps(document["core"])
    )
    text = as_text(document)
    for entry in document["checkpoints"]["missing"]:
        assert entry["command"] in text
        assert entry["recommended"]["sha256"] in text
    for backend in document["backends"]:
        assert backend["name"] in text
        assert backend["detail"] in text
    assert document["checkpoints"]["found"][0]["integrity"]["sha256"][0] in text
    assert text.startswith("calib_all_ros ")
    assert "Calibrations run here" in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_the_command_prints_text_or_json(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    document: dict[str, Any],
    checkpoints: Path,
) -> None:
    asked = []

    def known(given: Path | None, *, verified: bool) -> dict[str, Any]:
        asked.append((given, verified))
        return document

    monkeypatch.setattr("calib_all_ros.commands.doctor.examine", known)
    assert main(["doctor", "--checkpoints", str(checkpoints), "--verify"]) == 0
    assert capsys.readouterr().out.strip() == as_text(document)
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoints"]["missing"]
    assert asked == [(checkpoints, True), (None, False)]


def test_it_says_what_is_broken_instead_of_breaking(tmp_path: Path) -> None:
    """Nothing of what is broken is imported by the process that answers."""
    for name, text in FATAL.items():
        (tmp_path / f"{name}.py").write_text(text)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM}"
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True
    )
    document, imported = (json.loads(line) for line in run.stdout.splitlines())
    assert imported == []
    assert not document["core"]["works"]
    broken = [library for library in document["core"]["libraries"] if library["problem"]]
    assert broken[0]["problem"] == "numpy is installed but broken (ImportError: libopenblas)"
    torch = next(library for library in document["libraries"] if library["name"] == "torch")
    assert "ended the process" in torch["problem"]
    text = as_text(document)
    assert "Calibrations do not run here" in text
    assert "pip install --force-reinstall 'numpy" in text


def test_reference_marks_that_cannot_be_read_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from calib_all_ros.commands import doctor

    (tmp_path / "mark.yaml").write_text("picture: 3")
    monkeypatch.setenv("CALIB_ALL_MARKS", str(tmp_path))
    number, problem = doctor._reference_marks()
    assert number is None
    assert "mark.yaml" in str(problem)
