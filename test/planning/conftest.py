# SPDX-License-Identifier: Apache-2.0
"""A small robot with every kind of joint, and a camera that sees it."""

from __future__ import annotations

import pytest

from calib_all_ros.planning.camera_prior import CameraPrior, camera_with_view, looking_at
from calib_all_ros.robot.description import Robot, load_robot

CRANE = """
<robot name="crane">
  <link name="world"/>
  <link name="plate"><visual><geometry><box size="0.2 0.2 0.02"/></geometry></visual></link>
  <link name="rail"><visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual></link>
  <link name="arm"><visual><origin xyz="0 0 0.2"/>
    <geometry><box size="0.05 0.08 0.4"/></geometry></visual></link>
  <link name="fore"><visual><origin xyz="0 0 0.15"/>
    <geometry><box size="0.04 0.06 0.3"/></geometry></visual></link>
  <link name="left"><visual><geometry><box size="0.01 0.01 0.05"/></geometry></visual></link>
  <link name="right"><visual><geometry><box size="0.01 0.01 0.05"/></geometry></visual></link>
  <joint name="foot" type="fixed"><parent link="world"/><child link="plate"/></joint>
  <joint name="slide" type="prismatic"><parent link="plate"/><child link="rail"/>
    <origin xyz="0 0 0.06"/><axis xyz="1 0 0"/>
    <limit lower="-0.3" upper="0.3" effort="1" velocity="1"/></joint>
  <joint name="turn" type="continuous"><parent link="rail"/><child link="arm"/>
    <origin xyz="0 0 0.05"/><axis xyz="0 0 1"/></joint>
  <joint name="elbow" type="revolute"><parent link="arm"/><child link="fore"/>
    <origin xyz="0 0 0.4"/><axis xyz="0 1 0"/>
    <limit lower="-6.2" upper="6.4" effort="1" velocity="1"/></joint>
  <joint name="grip" type="prismatic"><parent link="fore"/><child link="left"/>
    <origin xyz="0 0.02 0.32"/><axis xyz="0 1 0"/>
    <limit lower="0.01" upper="0.03" effort="1" velocity="1"/></joint>
  <joint name="grip_2" type="prismatic"><parent link="fore"/><child link="right"/>
    <origin xyz="0 -0.02 0.32"/><axis xyz="0 -1 0"/>
    <limit lower="0.01" upper="0.03" effort="1" velocity="1"/><mimic joint="grip"/></joint>
</robot>
"""


@pytest.fixture(scope="session")
def crane() -> Robot:
    """A slide, a turntable, an elbow, and a gripper of two coupled fingers."""
    return load_robot(CRANE)


@pytest.fixture(scope="session")
def prior() -> CameraPrior:
    """A camera in front of the crane."""
    return CameraPrior(camera_with_view(160, 120, 60.0), looking_at([1.6, 0.3, 0.7], [0, 0, 0.3]))
