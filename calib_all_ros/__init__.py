# SPDX-License-Identifier: Apache-2.0
"""Markerless, training-free eye-to-hand camera calibration from a recording of a moving robot."""

__version__ = "0.1.0"
