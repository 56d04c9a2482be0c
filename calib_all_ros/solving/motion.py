# SPDX-License-Identifier: Apache-2.0
"""Motion of the robot: where every link was when each image was taken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.robot.kinematics import Kinematics

NS_PER_S = 1_000_000_000
# Joint states are interpolated across gaps of any length here: frames inside gaps that are too
# long have been dropped before the solve, and a lag must not make a kept frame disappear.
_ANY_GAP_NS = 2**62


@dataclass(frozen=True)
class RobotMotion:
    """The robot's recorded motion, seen at N image stamps.

    Attributes:
        kinematics: The robot.
        joints: Recorded joint positions; they must cover the stamps.
        stamps_ns: (N,) image stamps.
        assumed_positions: Positions of joints that were not recorded. Links that they move must
            not be compared with the image.
    """

    kinematics: Kinematics
    joints: JointTrajectory
    stamps_ns: NDArray[np.int64]
    assumed_positions: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def subset(self, indices: NDArray[np.intp]) -> RobotMotion:
        """Return the motion at some of the images."""
        return replace(self, stamps_ns=self.stamps_ns[indices])

    def positions(
        self,
        lag_s: float | NDArray[np.floating] = 0.0,
        joint_offsets: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float64]:
        """Return (N, J) joint positions at the instants the images were taken.

        Args:
            lag_s: How much later than its light an image was stamped, seconds, for all images or
                (N,) one each: an image stamped t shows the robot as it was at t - lag. Instants
                before the first or after the last joint state take that state's positions.
            joint_offsets: (J,) added to the recorded positions, radians or metres.
        """
        names = self.kinematics.joint_names
        known = [name for name in names if name not in self.assumed_positions]
        start, end = self.joints.span(known)
        lag_ns = np.rint(np.asarray(lag_s) * NS_PER_S).astype(np.int64)
        instants = np.clip(self.stamps_ns - lag_ns, start, end)
        recorded, _ = self.joints.at(instants, known, max_gap_ns=_ANY_GAP_NS)
        positions = np.empty((len(self), len(names)))
        positions[:, [names.index(name) for name in known]] = recorded
        for name, position in self.assumed_positions.items():
            if name in names:
                positions[:, names.index(name)] = position
        return positions if joint_offsets is None else positions + joint_offsets

    def link_poses(
        self,
        lag_s: float | NDArray[np.floating] = 0.0,
        joint_offsets: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float64]:
        """Return (N, L, 4, 4) ``T_base_link`` of every link; arguments as for `positions`."""
        return self.kinematics.forward(self.positions(lag_s, joint_offsets))
