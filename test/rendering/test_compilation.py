# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numba

from calib_all_ros.rendering.compilation import announce_compilation


def test_announces_the_first_compilation_only() -> None:
    announced: list[str] = []

    @numba.njit
    def doubled(x):  # type: ignore[no-untyped-def]
        return 2 * x

    with announce_compilation(lambda: announced.append("compiling")):
        assert announced == []
        assert doubled(3) == 6
        assert doubled(1.5) == 3.0
        assert announced == ["compiling"]


def test_says_nothing_when_nothing_is_compiled() -> None:
    announced: list[str] = []

    @numba.njit
    def doubled(x):  # type: ignore[no-untyped-def]
        return 2 * x

    assert doubled(3) == 6
    with announce_compilation(lambda: announced.append("compiling")):
        assert doubled(4) == 8
    assert doubled(1.5) == 3.0
    assert announced == []
