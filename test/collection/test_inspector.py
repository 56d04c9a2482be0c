# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from calib_all_ros.collection.coverage import ImageLook
from calib_all_ros.collection.inspector import Inspector
from calib_all_ros.collection.serialised import MessageReader

PATIENCE_S = 60.0


@pytest.fixture
def inspector() -> Inspector:
    return Inspector(MessageReader(), None, in_background=False)


def test_reads_the_robot(scene: Any, inspector: Inspector) -> None:
    inspector.load(scene.urdf)
    assert inspector.kinematics is not None
    assert inspector.kinematics.base_frame == "base_link"
    assert inspector.findings() == []


def test_base_frame(scene: Any) -> None:
    inspector = Inspector(MessageReader(), "hand", in_background=False)
    inspector.load(scene.urdf)
    assert inspector.kinematics is not None and inspector.kinematics.base_frame == "hand"


def test_broken_robot_is_told_until_a_good_one_comes(scene: Any, inspector: Inspector) -> None:
    inspector.load("<robot name='x'")
    (finding,) = inspector.findings()
    assert finding.level == "error" and "not valid XML" in finding.sentence
    inspector.load(scene.urdf)
    assert inspector.findings() == []


def test_looks_at_images(scene: Any, inspector: Inspector) -> None:
    looks: list[ImageLook] = []
    message = scene.image(0.0)
    inspector.look(message.topic, message.kind, message.data, looks.append)
    assert inspector.image_size == looks[0].size == (64, 48)


def test_images_that_cannot_be_decoded(scene: Any, inspector: Inspector) -> None:
    looks: list[ImageLook] = []
    message = scene.ros.image(1, "cam", np.zeros((4, 4, 2), np.uint8), "16UC1")
    data = scene.ros.serialised(message, "sensor_msgs/msg/Image")
    inspector.look("/depth", "sensor_msgs/msg/Image", data, looks.append)
    (finding,) = inspector.findings()
    assert "/depth has the encoding '16UC1', which is not supported" in finding.sentence
    good = scene.image(0.0)
    inspector.look(good.topic, good.kind, good.data, looks.append)
    assert inspector.findings() == [] and len(looks) == 1


def test_works_in_a_thread(scene: Any) -> None:
    inspector = Inspector(MessageReader(), None, in_background=True)
    gate, seen = threading.Event(), threading.Event()

    def note(look: ImageLook) -> None:
        assert gate.wait(PATIENCE_S)
        seen.set()

    message = scene.image(0.0)
    inspector.look(message.topic, message.kind, message.data, note)
    assert inspector.is_busy
    gate.set()
    assert seen.wait(PATIENCE_S)
    inspector.close()


def test_errors_of_the_thread_are_not_lost(scene: Any) -> None:
    inspector = Inspector(MessageReader(), None, in_background=True)

    def fail(look: ImageLook) -> None:
        raise ZeroDivisionError("a bug")

    message = scene.image(0.0)
    inspector.look(message.topic, message.kind, message.data, fail)
    while inspector.is_busy:
        pass
    with pytest.raises(ZeroDivisionError, match="a bug"):
        inspector.findings()
    inspector.close()
