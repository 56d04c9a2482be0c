# SPDX-License-Identifier: Apache-2.0
"""Files that list joint configurations to take images in.

YAML::

    joint_names: [joint1, joint2]
    configurations:
      - [0.1, -0.3]
      - [0.4, 0.2]

or the joints.txt of ManiUniCon: one ``[0.1, -0.3]`` a line, the joints' names known otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from calib_all_ros.collection.errors import CollectionError
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically


@dataclass(frozen=True, eq=False)
class JointConfigurations:
    """Configurations of an arm.

    Attributes:
        joint_names: (J,) joints.
        positions: (N, J) in radians or metres.
    """

    joint_names: tuple[str, ...]
    positions: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.shape[1] != len(self.joint_names):
            raise CollectionError(
                f"joint configurations have shape {self.positions.shape}, which does not fit the "
                f"joints {', '.join(self.joint_names) or 'none'}: give one value for each joint"
            )
        if len(set(self.joint_names)) < len(self.joint_names):
            raise CollectionError(
                f"a joint is named twice in {', '.join(self.joint_names)}: name each once"
            )
        if not np.isfinite(self.positions).all() or not len(self.positions):
            raise CollectionError(
                "joint configurations must be finite numbers, and there must be some: correct the "
                "list of configurations"
            )

    def __len__(self) -> int:
        return len(self.positions)


def read_configurations(path: Path, joint_names: Sequence[str] = ()) -> JointConfigurations:
    """Read a file of joint configurations.

    Args:
        path: A YAML file, or a text file with one list a line.
        joint_names: Names of the joints where the file has none, in the order of its columns.

    Raises:
        CollectionError: The file cannot be read, or is none of the two kinds.
    """
    try:
        # A text file of lists is not YAML as a whole, but each of its lines is.
        text = path.expanduser().read_text(encoding="utf-8")
        if path.suffix.lower() in (".yaml", ".yml"):
            document = yaml.safe_load(text)
        else:
            rows = [yaml.safe_load(line) for line in text.splitlines() if line.strip()]
            document = {"configurations": rows}
    except OSError as error:
        raise CollectionError(
            f"cannot read the joint configurations {path} ({error.strerror}): name a file that "
            "exists"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise _no_configurations(path, reason) from error
    if not isinstance(document, dict) or not isinstance(document.get("configurations"), list):
        raise _no_configurations(path, "'configurations' is missing")
    names = tuple(str(name) for name in document.get("joint_names") or joint_names)
    if not names:
        raise CollectionError(
            f"{path} does not name the joints of its configurations: name them, in the order of "
            "its columns (configuration_joints)"
        )
    try:
        positions = np.array(document["configurations"], dtype=np.float64)
        return JointConfigurations(names, positions)
    except (TypeError, ValueError) as error:
        raise _no_configurations(path, str(error)) from error
    except CollectionError as error:
        raise CollectionError(f"{path}: {error}") from None


def write_configurations(path: Path, configurations: JointConfigurations) -> None:
    """Write a file of joint configurations, whole or not at all.

    A ``.txt`` gets one list a line, without the joints' names; any other file is YAML.

    Raises:
        ResultError: The file cannot be written.
    """
    rows = configurations.positions.tolist()
    if path.suffix.lower() == ".txt":
        write_atomically(path, "".join(f"{row}\n" for row in rows).encode())
        return
    document = {"joint_names": list(configurations.joint_names), "configurations": rows}
    write_atomically(path, yaml_text.dump(document).encode())


def _no_configurations(path: Path, reason: str) -> CollectionError:
    return CollectionError(
        f"{path} holds no joint configurations ({reason}): write joint_names and configurations "
        "in YAML, or a text file with one list of numbers a line"
    )
