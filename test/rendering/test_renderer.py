# SPDX-License-Identifier: Apache-2.0
"""Renderers by their names, and what is said where one cannot be had."""

from __future__ import annotations

import importlib.util

import pytest

from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.rendering.rasteriser import RenderingError, render
from calib_all_ros.rendering.renderer import find_renderer


def test_the_cpu_is_the_rasteriser() -> None:
    assert find_renderer("cpu") is render


def test_others_are_unknown() -> None:
    with pytest.raises(RenderingError, match="there are: cpu, nvdiffrast"):
        find_renderer("opengl")


def test_without_cuda_the_reason_is_said(emulated_nvdiffrast: None) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU")
    with pytest.raises(ModelUnavailableError, match=r"CUDA GPUs only.*rendering\.backend to cpu"):
        find_renderer("nvdiffrast")


def test_without_nvdiffrast_the_command_is_said() -> None:
    pytest.importorskip("torch", reason="pip install '.[foundation]'")
    if importlib.util.find_spec("nvdiffrast"):
        pytest.skip("nvdiffrast is installed")
    with pytest.raises(ModelUnavailableError, match=r"not installed: pip install .*nvdiffrast"):
        Nvdiffrast(device="cpu")
