# SPDX-License-Identifier: Apache-2.0
"""The made-up arm that comes with the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from calib_all_ros.robot.errors import RobotError

_PACKAGE = "calib_all_ros"
_INSIDE_PACKAGE = Path("urdf") / "demo_arm.urdf"


def demo_urdf_path() -> Path:
    """Return the URDF of the demo arm: of the source tree, or of the installed share.

    Raises:
        RobotError: It is in none of the places, which the message lists.
    """
    module = Path(__file__).resolve()
    prefixes = [Path(sys.prefix)]
    # An installation with --prefix or --user puts lib/pythonX/site-packages beside share.
    prefixes += module.parents[3:7]
    prefixes += [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    places = [module.parents[2] / _INSIDE_PACKAGE]
    places += [prefix / "share" / _PACKAGE / _INSIDE_PACKAGE for prefix in dict.fromkeys(prefixes)]
    for place in places:
        if place.is_file():
            return place
    raise RobotError(
        f"the demo arm is not installed (tried: {', '.join(str(place) for place in places)}): "
        f"install {_PACKAGE} again"
    )
