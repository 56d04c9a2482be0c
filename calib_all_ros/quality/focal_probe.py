# SPDX-License-Identifier: Apache-2.0
"""What the focal length would be if the recording were asked.

A pose fitted with a wrong focal length looks healthy, because the distance makes up for it. Only
perspective across near and far parts of the robot tells them apart, so the probe frees a common
focal scale beside the pose and sees whether it stays at one.
"""

from __future__ import annotations

from dataclasses import replace

from calib_all_ros.quality.jackknife import last_parameter_sigma
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import LinearSystem, Parameters

MIN_FRAMES = 5
# Wide on purpose: the probe should say what the images say.
PROBE_SIGMA = 0.2


def probe_parameters(parameters: Parameters) -> Parameters:
    """Return the parameters of a fit that frees the focal scale as well."""
    return replace(parameters, focal_scale=True, focal_scale_sigma=PROBE_SIGMA)


def probe_figures(estimate: Estimate, system: LinearSystem | None) -> dict[str, float]:
    """Return the quality figures of a fit made with `probe_parameters`."""
    if system is None:
        return {}
    return {
        "free_focal_scale": estimate.focal_scale,
        "free_focal_scale_sigma": last_parameter_sigma(system),
    }
