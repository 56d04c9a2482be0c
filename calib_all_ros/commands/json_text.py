# SPDX-License-Identifier: Apache-2.0
"""Documents that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from calib_all_ros.results.yaml_text import plain


def finite(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of plain values, None for NaN and infinity, which JSON does not know."""
    return dict(_finite(plain(document)))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
