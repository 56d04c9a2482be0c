# SPDX-License-Identifier: Apache-2.0
"""LeRobot's own calibration of an arm, which turns shares of a motor's range into angles.

Many arms record -100 to 100 from one end of each motor's range to the other. The ends are in the
file that LeRobot keeps of the arm, calibration/robots/TYPE/ID.json in its cache; zero is the middle
of the range (LeRobot, `MotorsBus._normalize`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.tables import read_json

# Steps of a turn less one, of the Feetech and Dynamixel motors that LeRobot's arms have.
_LAST_STEP = 4095
_FULL = 100.0


def radians_per_unit(path: Path, motors: Sequence[str]) -> NDArray[np.float64]:
    """Return what one of the hundred parts from the middle to the end of each range is.

    Args:
        path: The file.
        motors: (J,) names of the motors.

    Returns:
        (J,) radians.

    Raises:
        LerobotError: The file cannot be read, lacks a motor, or a motor runs backwards, which
            LeRobot's drivers treat in different ways.
    """
    document = read_json(path)
    factors = []
    for motor in motors:
        try:
            entry = document[motor]
            steps = float(entry["range_max"]) - float(entry["range_min"])
            backwards = bool(entry.get("drive_mode", 0))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            known = ", ".join(document) if isinstance(document, dict) else "none"
            raise LerobotError(
                f"{path} does not tell the range of the motor {motor} ({error!r}); it has: {known}"
            ) from None
        if backwards or not steps > 0:
            raise LerobotError(
                f"the motor {motor} in {path} runs backwards or has no range: convert the dataset "
                "to degrees first"
            )
        factors.append(steps / 2.0 / _FULL * 2.0 * np.pi / _LAST_STEP)
    return np.array(factors)
