# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import FrameList, Recording


@pytest.fixture
def recording(bags: Any) -> Recording:
    return Recording(
        source="x",
        camera=bags.camera,
        image_stamps_ns=np.array(bags.stamps),
        images=FrameList([bags.picture(i) for i in range(6)]),
        joints=JointTrajectory(("a",), bags.stamps, np.zeros((6, 1))),
        masks=FrameList([bags.mask(i) if i != 2 else None for i in range(6)]),
    )


@pytest.mark.parametrize("indices", [[1, 2, 5], np.isin(np.arange(6), [1, 2, 5])])
def test_subset_keeps_images_stamps_and_masks_together(
    bags: Any, recording: Recording, indices: Any
) -> None:
    part = recording.subset(indices)
    assert len(part) == 3 and part.masks is not None
    assert part.image_stamps_ns.tolist() == [bags.stamps[i] for i in (1, 2, 5)]
    np.testing.assert_array_equal(part.images[2], bags.picture(5))
    np.testing.assert_array_equal(part.masks[0], bags.mask(1))
    assert part.masks[1] is None
    assert part.joints is recording.joints


def test_subset_of_a_subset(bags: Any, recording: Recording) -> None:
    part = recording.subset([1, 3, 5]).subset([2, 0])
    np.testing.assert_array_equal(part.images[0], bags.picture(5))
    assert part.image_stamps_ns.tolist() == [bags.stamps[5], bags.stamps[1]]
