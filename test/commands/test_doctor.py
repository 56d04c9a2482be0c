# SPDX-License-Identifier: Apache-2.0
"""The whole command, on this installation and on broken ones."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.cli import main
from calib_all_ros.commands import doctor
from calib_all_ros.commands.doctor import (
    MESSAGES,
    as_text,
    backends,
    examine,
    libraries,
    probe,
    requirements,
    ros_state,
)
from calib_all_ros.models.checkpoints import MODELS

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
FATAL = {"numpy": "raise ImportError('libopenblas')", "torch": "import os; os.abort()"}
PROGRAM = """
import json, sys
from pathlib import Path
from calib_all_ros.cli import main
from calib_all_ros.commands.doctor import examine
print(json.dumps(examine(Path(sys.argv[1]))))
print(json.dumps([name for name in ("numpy", "torch", "yaml", "cv2") if name in sys.modules]))
"""
BUILT_IN = {"given pixel", "Lucas-Kanade", "recorded", "from the images", "CPU rasteriser"}
WITH_MODELS = {"DINOv2", "CoTracker3", "Grounded SAM 2", "nvdiffrast"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file that is not what its name says, half a file, and one of the authors."""
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "scaled_offline.pth").write_bytes(b"nothing?!")
    (folder / "scaled_online.pth").write_bytes(b"")
    (folder / "sam2.1_hiera_tiny.pt").write_bytes(b"SAM 2")
    return folder


@pytest.fixture(scope="module")
def document(checkpoints: Path) -> dict[str, Any]:
    """This installation."""
    return examine(checkpoints, verified=True)


def test_this_installation_works(document: dict[str, Any]) -> None:
    assert document["core"]["works"]
    assert document["system"]["numba_threads"] >= 1
    names = {library["name"] for library in document["core"]["libraries"]}
    assert {"numpy", "opencv-python-headless", "yourdfpy"} < names
    versions = {library["name"]: library["version"] for library in document["core"]["libraries"]}
    assert versions["numpy"] == metadata.version("numpy")
    available = {backend["name"] for backend in document["backends"] if backend["available"]}
    assert available >= BUILT_IN
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
    unusable = {strange["model"]: strange for strange in listed["unusable"]}
    assert unusable["cotracker3_online"]["reason"] == "is empty"
    assert "hf download facebook/sam2.1-hiera-tiny" in unusable["sam2"]["todo"]
    missing = [entry["model"] for entry in listed["missing"]]
    assert missing == [model for model in MODELS if model != "cotracker3_offline"]


def test_the_document_is_json_and_the_text_says_the_same(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=False))["core"] == document["core"]
    text = as_text(document)
    for entry in document["checkpoints"]["missing"]:
        assert entry["command"] in text
        assert entry["recommended"]["sha256"] in text
    for entry in document["checkpoints"]["unusable"]:
        assert entry["todo"] in text
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

    monkeypatch.setattr(doctor, "examine", known)
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
    broken = {one["name"]: one for one in document["core"]["libraries"] if one["problem"]}
    # One reason is given once, with what to do.
    assert "numpy is installed but broken (ImportError: libopenblas)" in broken["numpy"]["problem"]
    assert "pip uninstall numpy and then pip install 'numpy" in broken["numpy"]["todo"]
    assert broken["scipy"]["problem"].endswith("for the same reason as numpy")
    assert broken["scipy"]["todo"] is None
    torch = next(library for library in document["libraries"] if library["name"] == "torch")
    assert "ended the process (signal 6)" in torch["problem"]
    text = as_text(document)
    assert "Calibrations do not run here" in text
    assert broken["numpy"]["todo"] in text


def test_reference_marks_that_cannot_be_read_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mark.yaml").write_text("picture: 3")
    monkeypatch.setenv("CALIB_ALL_MARKS", str(tmp_path))
    assert "mark.yaml" in str(doctor._folders()[1])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("print('hello')", None),
        ("raise OSError('lib.so:\\nnot found')", "OSError: lib.so: not found"),
        ("import calibtrial_absent", "No module named 'calibtrial_absent'"),
        ("import os; os.kill(os.getpid(), 11)", "ended the process (signal 11)"),
        ("import sys; sys.exit(4)", "ended the process (exit code 4)"),
        ("import time; time.sleep(60)", "did not end within 2 s"),
    ],
)
def test_imports_on_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str | None
) -> None:
    (tmp_path / "calibtrial.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    answer, said = probe("import calibtrial; answer = 42", timeout_s=2.0)
    if problem is None:
        assert (answer, said) == (42, None)
    else:
        assert answer is None and problem in str(said)


@pytest.mark.parametrize(
    ("versions", "problem", "todo"),
    [
        ("", None, None),
        ("<99,>=1.0", None, None),
        (">=99", "dacite is .*, and >=99 is needed", "pip install 'dacite>=99'"),
    ],
)
def test_versions_are_compared_with_those_needed(
    versions: str, problem: str | None, todo: str | None
) -> None:
    state = libraries({"dacite": (versions, "")})["dacite"]
    assert state["version"] == metadata.version("dacite")
    assert state["todo"] == todo
    if problem is None:
        assert state["problem"] is None
    else:
        assert re.fullmatch(problem, state["problem"])


def test_a_library_that_is_not_there_is_said_with_what_installs_it() -> None:
    names = {"calibtrial-absent": (">=1", ""), "calibtrial2": ("", "ray"), "cotracker": ("", "x")}
    state = libraries(names)
    assert state["calibtrial-absent"]["problem"] == "calibtrial-absent is not installed"
    assert state["calibtrial-absent"]["todo"] == "pip install 'calibtrial-absent>=1'"
    assert state["calibtrial2"]["todo"] == "pip install 'calib_all_ros[ray]'"
    assert not state["calibtrial2"]["installed"]


def test_requirements_are_those_that_the_package_states(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "PyYAML (>=5.4)",
        'embreex>=2.17; python_version >= "3"',
        'rtree; python_version < "3"',
        'torch>=2.4; extra == "foundation"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    needed = requirements()
    assert needed[""] == {"pyyaml": ">=5.4", "embreex": ">=2.17"}
    assert needed["foundation"] == {"torch": ">=2.4"}
    assert needed["ray"] == {}


def test_without_metadata_any_version_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    needed = requirements()
    assert {"numba", "opencv-python-headless"} <= set(needed[""])
    assert not any(needed[""].values())


@pytest.fixture
def complete() -> dict[str, Any]:
    """What `backends` is told where everything is there."""
    core = {name: library(name) for name in ("opencv-python-headless", "numba")}
    names = ("torch", "transformers", "cotracker", "nvdiffrast")
    found = [{"model": model, "variant": f"{model}-small", "used": True} for model in MODELS]
    return {
        "core": core,
        "extras": {name: library(name) for name in names},
        "checkpoints": {"found": found, "unusable": [], "missing": []},
        "gpu": {"usable": True, "devices": [{"title": "NVIDIA X"}]},
        "marks": 2,
    }


def library(name: str) -> dict[str, Any]:
    return {"name": name, "version": "1", "problem": None, "todo": None}


def named(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {backend["name"]: backend for backend in backends(**told)}


def absent(told: dict[str, Any]) -> set[str]:
    return {backend["name"] for backend in backends(**told) if not backend["available"]}


def without(told: dict[str, Any], *models: str) -> dict[str, Any]:
    told = copy.deepcopy(told)
    listed = told["checkpoints"]
    listed["found"] = [found for found in listed["found"] if found["model"] not in models]
    listed["missing"] = [{"model": model, "todo": f"download {model}"} for model in models]
    return told


def test_with_everything_there_is_nothing_to_do(complete: dict[str, Any]) -> None:
    assert absent(complete) == set()
    assert all(backend["todo"] is None for backend in backends(**complete))
    answers = named(complete)
    assert answers["DINOv2"]["detail"] == "dinov2-small, 2 reference mark(s)"
    assert answers["CoTracker3"]["detail"] == "cotracker3_offline-small, cotracker3_online-small"
    assert answers["Grounded SAM 2"]["detail"] == "grounding_dino-small, sam2-small"
    assert answers["nvdiffrast"]["detail"] == "1 on NVIDIA X"


@pytest.mark.parametrize(
    ("broken", "missing"),
    [
        ("torch", WITH_MODELS),
        ("transformers", {"DINOv2", "Grounded SAM 2"}),
        ("cotracker", {"CoTracker3"}),
        ("nvdiffrast", {"nvdiffrast"}),
        ("opencv-python-headless", BUILT_IN - {"CPU rasteriser"}),
        ("numba", {"CPU rasteriser"}),
    ],
)
def test_what_a_library_is_needed_for(
    complete: dict[str, Any], broken: str, missing: set[str]
) -> None:
    told = complete["core"] if broken in complete["core"] else complete["extras"]
    told[broken] |= {"problem": f"{broken} is broken", "todo": "mend it"}
    assert absent(complete) == missing
    for name in missing:
        assert broken in named(complete)[name]["detail"]
        assert named(complete)[name]["todo"] in ("mend it", "see the core libraries")


@pytest.mark.parametrize(
    ("models", "missing"),
    [
        (["dinov2"], {"DINOv2"}),
        (["sam2"], {"Grounded SAM 2"}),
        (["grounding_dino"], {"Grounded SAM 2"}),
        (["cotracker3_offline"], set()),
        (["cotracker3_online"], set()),
        (["cotracker3_offline", "cotracker3_online"], {"CoTracker3"}),
    ],
)
def test_what_a_checkpoint_is_needed_for(
    complete: dict[str, Any], models: list[str], missing: set[str]
) -> None:
    told = without(complete, *models)
    assert absent(told) == missing
    for name in missing:
        backend = named(told)[name]
        assert backend["checkpoint"] == models[0]
        assert backend["todo"] == f"download {models[0]}"


def test_without_a_detector_clicks_remain(complete: dict[str, Any]) -> None:
    detail = named(without(complete, "grounding_dino"))["Grounded SAM 2"]["detail"]
    assert detail == "no checkpoint of Grounding DINO; SAM 2 works from clicks without"


def test_a_file_that_only_looks_like_a_checkpoint_is_said(complete: dict[str, Any]) -> None:
    told = without(complete, "sam2")
    strange = {"model": "sam2", "path": "/folder/sam2", "reason": "is empty", "todo": "fetch it"}
    told["checkpoints"]["unusable"] = [strange]
    backend = named(told)["Grounded SAM 2"]
    assert (backend["detail"], backend["todo"]) == ("/folder/sam2 is empty", "fetch it")


def test_a_mark_needs_a_reference(complete: dict[str, Any]) -> None:
    backend = named(complete | {"marks": 0})["DINOv2"]
    assert backend["detail"] == "no reference mark"
    assert "calib_all mark add" in backend["todo"]
    assert named(complete | {"marks": "a.yaml: no pixel"})["DINOv2"]["detail"] == "a.yaml: no pixel"


def test_a_renderer_on_the_gpu_needs_one(complete: dict[str, Any]) -> None:
    gpu = {"usable": False, "why_not": "built without CUDA", "todo": "do this", "devices": []}
    assert absent(complete | {"gpu": gpu}) == {"nvdiffrast"}
    assert named(complete | {"gpu": gpu})["nvdiffrast"]["detail"] == "built without CUDA"


RCLPY = (["rmw_fastrtps_cpp", "/place/site-packages/rclpy/__init__.py"], None)
BROKEN = (None, "ImportError: no C extension")


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns the state of ROS 2 where some modules are absent."""

    def state(rclpy: Any, *lacking: str, root: Path = Path("/none"), **environment: str) -> Any:
        monkeypatch.setattr(doctor, "find_spec", lambda name: name not in lacking or None)
        problems = {module: "absent" for module in MESSAGES if module in lacking}
        monkeypatch.setattr(doctor, "import_problems", lambda modules: problems)
        return ros_state(rclpy, environment, root)

    return state


def test_ros_of_a_distribution_and_of_wheels(ros: Any) -> None:
    sourced = ros(RCLPY, ROS_DISTRO="jazzy")
    assert sourced["usable"] and sourced["todo"] is None
    assert (sourced["distribution"], sourced["rmw"]) == ("jazzy", "rmw_fastrtps_cpp")
    wheels = ros(RCLPY)
    assert wheels["usable"] and wheels["distribution"] is None
    assert wheels["detail"].startswith("from wheels, /place/site-packages")


def test_missing_messages_are_named_as_packages(ros: Any) -> None:
    state = ros(RCLPY, "tf2_msgs.msg", "diagnostic_msgs.msg", ROS_DISTRO="jazzy")
    assert not state["usable"]
    assert "without the messages of diagnostic_msgs, tf2_msgs" in state["detail"]
    assert state["todo"] == "apt install ros-jazzy-diagnostic-msgs ros-jazzy-tf2-msgs"


@pytest.mark.parametrize(
    "library", ["lib/python3.6/site-packages", "local/lib/python3.6/dist-packages"]
)
def test_ros_for_another_python(tmp_path: Path, ros: Any, library: str) -> None:
    (tmp_path / library / "rclpy").mkdir(parents=True)
    state = ros(BROKEN, ROS_DISTRO="jazzy", AMENT_PREFIX_PATH=f"/elsewhere:{tmp_path}")
    assert not state["usable"]
    assert "Python 3.6" in state["detail"] and PYTHON in state["detail"]
    assert "python3.6" in state["todo"]


def test_ros_that_is_sourced_and_broken_or_absent(tmp_path: Path, ros: Any) -> None:
    (tmp_path / f"lib/python{PYTHON}/site-packages/rclpy").mkdir(parents=True)
    state = ros(BROKEN, ROS_DISTRO="jazzy", AMENT_PREFIX_PATH=str(tmp_path))
    assert "rclpy is broken (ImportError: no C extension)" in state["detail"]
    assert "ros-jazzy-rclpy" in state["todo"]
    state = ros(BROKEN, "rclpy", ROS_DISTRO="jazzy")
    assert state["detail"] == "jazzy is sourced, but rclpy is not installed"


def test_ros_that_is_not_sourced_or_not_there(tmp_path: Path, ros: Any) -> None:
    for name in ("humble", "jazzy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "setup.bash").touch()
    state = ros(BROKEN, "rclpy", root=tmp_path)
    assert "humble, jazzy" in state["detail"]
    assert f"source {tmp_path / 'jazzy' / 'setup.bash'}" in state["todo"]
    state = ros(BROKEN, "rclpy")
    assert (state["usable"], state["detail"], state["rmw"]) == (False, "not installed", None)
    assert "only the nodes need it" in state["todo"]
    assert "broken (ImportError: no C extension)" in ros(BROKEN)["detail"]
