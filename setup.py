# SPDX-License-Identifier: Apache-2.0
"""Build configuration for pip and colcon (ament_python)."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "calib_all_ros"
HERE = Path(__file__).resolve().parent
SHARE = f"share/{PACKAGE}"


def version() -> str:
    """Return the version without importing the package, whose dependencies may not be there."""
    text = (HERE / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if match is None:
        raise ValueError(f"{PACKAGE}/__init__.py does not define __version__")
    return match.group(1)


def share_files(folder: str, pattern: str) -> tuple[str, list[str]]:
    """Return what of a folder goes to the package's share, as data_files wants it."""
    files = sorted(path.relative_to(HERE).as_posix() for path in (HERE / folder).glob(pattern))
    return f"{SHARE}/{folder}", files


setup(
    name=PACKAGE,
    version=version(),
    description="Markerless, training-free eye-to-hand camera calibration from a recording",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="calib_all_ros maintainers",
    maintainer_email="maintainers@calib-all-ros.example",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={
        PACKAGE: ["py.typed"],
        f"{PACKAGE}.report": ["template/*"],
        f"{PACKAGE}.dataset": ["template/*"],
    },
    python_requires=">=3.10",
    install_requires=[
        "dacite>=1.8",
        "jinja2>=3.0",
        "lz4>=4.0",
        "matplotlib>=3.7",
        "mcap>=1.5",
        "numba>=0.57",
        "numpy>=1.24",
        # OpenCV 5 lacks functions that OpenCV 4 has; ROS distributions ship 4.
        "opencv-python-headless>=4.5.4,<5",
        "packaging>=21",
        "pycollada>=0.7.2",
        "pyyaml>=5.4",
        "rosbags>=0.11.7",
        "scipy>=1.15",
        "tqdm>=4.60",
        "trimesh>=4.0",
        "xacrodoc>=1.2",
        "yourdfpy>=0.0.56",
        "zstandard>=0.18",
        # The simulator's ray casting: embreex is fast but has wheels for x86-64 only.
        'embreex>=2.17; platform_machine == "x86_64" or platform_machine == "AMD64"',
        'rtree>=1.0; platform_machine != "x86_64" and platform_machine != "AMD64"',
    ],
    extras_require={
        # DINOv2, Grounding DINO and SAM 2. CoTracker3 is on no package index.
        "foundation": [
            "safetensors>=0.4",
            "torch>=2.4",
            "transformers>=5.0",
        ],
        # What nvdiffrast is compiled and run with; it is on no package index itself.
        "cuda": [
            "ninja>=1.11",
            "setuptools>=64",
            "torch>=2.4",
            "wheel",
        ],
        # LeRobot datasets, their videos, and tables.
        "datasets": [
            "av>=14",
            "pyarrow>=15",
        ],
        # One dataset on many machines.
        "ray": [
            "ray>=2.30",
        ],
        "test": [
            "colcon-common-extensions>=0.3",
            "mypy>=1.10",
            "pycocotools>=2.0.7",
            "pytest>=7.4",
            "pytest-xdist>=3.3",
            "ruff>=0.6",
            "selenium>=4.11",
            "setuptools>=64",
        ],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (SHARE, ["package.xml"]),
        share_files("launch", "*.launch.py"),
        share_files("config", "*.yaml"),
        share_files("rviz", "*.rviz"),
        share_files("config", "*.xml"),
        share_files("urdf", "*.urdf"),
    ],
    entry_points={
        "console_scripts": [
            "calib_all = calib_all_ros.cli:main",
            "calib_all_recorder = calib_all_ros.nodes.recorder:main",
            "calib_all_calibrator = calib_all_ros.nodes.calibrator:main",
            "calib_all_publisher = calib_all_ros.nodes.publisher:main",
            "calib_all_monitor = calib_all_ros.nodes.monitor:main",
        ]
    },
    zip_safe=False,
)
