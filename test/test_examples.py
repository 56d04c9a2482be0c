# SPDX-License-Identifier: Apache-2.0
"""The examples, run as their own usage says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from calib_all_ros.geometry.se3 import difference
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import demo_urdf_path
from calib_all_ros.simulation.simulator import SimulatedRecording

RunExample = Callable[..., str]


@pytest.fixture(scope="module")
def result(
    run_example: RunExample, simulated_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What `02_own_masks.py` makes of the simulated recording."""
    path = tmp_path_factory.mktemp("examples") / "result"
    printed = run_example(2, simulated_folder, simulated_folder / "masks", path)
    assert "verdict: accepted" in printed
    assert len(re.findall(r"^image \d+: overlap (?:1\.0|0\.9)", printed, re.MULTILINE)) == 12
    return path


def test_calibrate_a_bag(
    run_example: RunExample, simulated_bag: Path, simulated: SimulatedRecording, tmp_path: Path
) -> None:
    printed = run_example(1, simulated_bag, tmp_path / "result")
    calibration = Calibration.load(tmp_path / "result")
    assert f"verdict: {calibration.verdict.status}" in printed
    degrees, metres = difference(calibration.T_camera_base, simulated.T_camera_base)
    assert degrees < 0.5 and metres < 0.01


def test_own_masks(result: Path, simulated: SimulatedRecording) -> None:
    degrees, metres = difference(Calibration.load(result).T_camera_base, simulated.T_camera_base)
    assert degrees < 0.3 and metres < 0.005


def test_a_mark(
    run_example: RunExample, simulated_folder: Path, simulated: SimulatedRecording, result: Path
) -> None:
    camera = simulated.camera
    annotated = run_example(9, simulated_folder, result, result.parent / "pictures")
    u, v = re.findall(r"image 0: end-effector at (\d+), (\d+)", annotated)[0]
    assert 0 <= int(u) < camera.width and 0 <= int(v) < camera.height
    assert len(list((result.parent / "pictures").iterdir())) == len(simulated.images)
    printed = run_example(3, simulated_folder, "hand", u, v)
    assert re.search(r"^mark: given", printed, re.MULTILINE), printed
    assert "verdict: " in printed


def test_check_given_extrinsics(
    run_example: RunExample, simulated_folder: Path, tmp_path: Path, simulated: SimulatedRecording
) -> None:
    rows = [[float(x) for x in row] for row in simulated.T_camera_base]
    rows[0][3] += 0.1
    extrinsics = tmp_path / "extrinsics.json"
    extrinsics.write_text(f'{{"T_camera_base": {rows}}}', encoding="utf-8")
    printed = run_example(4, simulated_folder, extrinsics)
    off_mm = re.search(r"^off by (\d+)\.\d mm", printed, re.MULTILINE)
    assert off_mm is not None and 80 < int(off_mm[1]) < 120, printed


def test_compare_two_results(run_example: RunExample, result: Path) -> None:
    printed = run_example(5, result, result)
    assert "0.00 mm and 0.000 deg apart" in printed and "p = 1:" in printed


def test_plan_configurations(run_example: RunExample) -> None:
    printed = run_example(6, demo_urdf_path(), 1.2, 0.3, 0.7)
    expected_mm = [float(x) for x in re.findall(r"-> (\d+\.\d) mm to be expected", printed)]
    assert len(expected_mm) == 6 and expected_mm == sorted(expected_mm, reverse=True)


def test_a_dataset(run_example: RunExample, simulated_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated_folder, tmp_path / "recordings" / "first")
    printed = run_example(8, tmp_path / "recordings", tmp_path / "results")
    assert re.search(r"^first: (accepted|warning) ", printed, re.MULTILINE), printed
    assert "first" in (tmp_path / "results" / "table.csv").read_text(encoding="utf-8")


def test_every_example_is_run(repository: Path) -> None:
    tests = "".join(p.read_text(encoding="utf-8") for p in (repository / "test").rglob("test_*.py"))
    for program in sorted((repository / "examples").iterdir()):
        number = int(program.name[:2])
        assert f"run_example({number}," in tests or f"examples/{program.name}" in tests, program


def test_readme_uses_names_that_exist(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    compile(program, "README.md", "exec")
    (names,) = re.findall(r"^from calib_all_ros import (.+)$", program, re.MULTILINE)
    import calib_all_ros

    assert all(callable(getattr(calib_all_ros, name)) for name in names.split(", "))
