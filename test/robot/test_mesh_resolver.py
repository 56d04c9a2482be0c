# SPDX-License-Identifier: Apache-2.0
"""Where meshes are looked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from calib_all_ros.robot.kinematics import RobotError
from calib_all_ros.robot.mesh_resolver import MeshResolver

URI = "package://arm_description/meshes/a.stl"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ROS_PACKAGE_PATH", raising=False)
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setenv("ROBOT_DESCRIPTIONS_CACHE", str(tmp_path / "cache"))


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("solid")
    return path


@pytest.mark.parametrize("inside", ["", "stack"])
def test_mesh_path_contains_the_package(tmp_path: Path, inside: str) -> None:
    mesh = put(tmp_path / "src" / inside / "arm_description/meshes/a.stl")
    assert MeshResolver([tmp_path / "src"]).resolve(URI) == mesh


def test_mesh_path_is_the_package_by_name(tmp_path: Path) -> None:
    mesh = put(tmp_path / "arm_description/meshes/a.stl")
    assert MeshResolver([tmp_path / "arm_description"]).resolve(URI) == mesh


def test_mesh_path_is_the_package_by_manifest(tmp_path: Path) -> None:
    mesh = put(tmp_path / "checkout-3/meshes/a.stl")
    (tmp_path / "checkout-3/package.xml").write_text(
        "<package><name>arm_description</name></package>"
    )
    assert MeshResolver([tmp_path / "checkout-3"]).resolve(URI) == mesh


@pytest.mark.parametrize("folder", ["", "arm_description/urdf", "arm_description/urdf/v2"])
def test_folder_of_the_urdf_and_its_parents(tmp_path: Path, folder: str) -> None:
    mesh = put(tmp_path / "arm_description/meshes/a.stl")
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    assert MeshResolver(urdf_folder=tmp_path / folder).resolve(URI) == mesh


def test_ros_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = put(tmp_path / "install/share/arm_description/meshes/a.stl")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'install'}")
    assert MeshResolver().resolve(URI) == mesh
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    monkeypatch.setenv("ROS_PACKAGE_PATH", str(tmp_path / "install/share"))
    assert MeshResolver().resolve(URI) == mesh


def test_python_environment_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = put(tmp_path / "cache/arm_ros/arm_description/meshes/a.stl")
    assert MeshResolver().resolve(URI) == mesh
    shared = put(tmp_path / "env/share/arm_description/meshes/a.stl")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    assert MeshResolver().resolve(URI) == shared


def test_given_folders_win(tmp_path: Path) -> None:
    put(tmp_path / "urdf/arm_description/meshes/a.stl")
    mine = put(tmp_path / "mine/arm_description/meshes/a.stl")
    assert MeshResolver([tmp_path / "mine"], tmp_path / "urdf").resolve(URI) == mine


def test_file_and_relative_names(tmp_path: Path) -> None:
    mesh = put(tmp_path / "my meshes/a.stl")
    assert MeshResolver().resolve(f"file://{tmp_path}/my%20meshes/a.stl") == mesh
    assert MeshResolver().resolve(str(mesh)) == mesh
    assert MeshResolver([tmp_path]).resolve("my meshes/a.stl") == mesh
    assert MeshResolver(urdf_folder=tmp_path).resolve("my meshes/a.stl") == mesh


def test_file_of_another_machine_is_found_by_its_package(tmp_path: Path) -> None:
    mesh = put(tmp_path / "arm_description/meshes/a.stl")
    uri = "file:///opt/ros/none/share/arm_description/meshes/a.stl"
    assert MeshResolver([tmp_path]).resolve(uri) == mesh


def test_missing_mesh_lists_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/some/prefix")
    (tmp_path / "mine").mkdir()
    with pytest.raises(RobotError) as caught:
        MeshResolver([tmp_path / "mine"], tmp_path / "u").resolve(URI)
    message = str(caught.value)
    for place in (tmp_path / "mine", tmp_path / "u", tmp_path, Path("/some/prefix/share")):
        assert str(place / "arm_description/meshes/a.stl") in message
    assert message.startswith(f"file '{URI}'")


def test_other_names_are_refused() -> None:
    with pytest.raises(RobotError, match="neither a package"):
        MeshResolver().resolve("https://example.org/a.stl")
    with pytest.raises(RobotError, match="no place"):
        MeshResolver().resolve("a.stl")


def test_package_roots(tmp_path: Path) -> None:
    put(tmp_path / "arm_description/meshes/a.stl")
    assert MeshResolver([tmp_path]).package("arm_description") == tmp_path / "arm_description"
    with pytest.raises(RobotError, match="package 'leg_description'"):
        MeshResolver([tmp_path]).package("leg_description")


def test_mesh_path_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match="not a folder"):
        MeshResolver([tmp_path / "none"])
