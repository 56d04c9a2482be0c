# SPDX-License-Identifier: Apache-2.0
"""Runs at every Python start of the environment it is installed in (through a .pth file).

ROS looks for packages and for its middleware in AMENT_PREFIX_PATH, which a distribution's setup
script sets and the wheels do not. A sourced workspace stays in front.
"""

from __future__ import annotations

import os
import sys

_prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if prefix]
if sys.prefix not in _prefixes:
    os.environ["AMENT_PREFIX_PATH"] = ":".join([*_prefixes, sys.prefix])
