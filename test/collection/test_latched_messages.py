# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from calib_all_ros.collection.serialised import LatchedMessages
from calib_all_ros.collection.stream_writer import StreamMessage
from calib_all_ros.recording.bag_storage import STRING, TF_MESSAGE


def test_last_of_each_topic() -> None:
    latched = LatchedMessages()
    first = StreamMessage("/robot_description", STRING, 1, b"a", True)
    assert latched.add(first)
    assert not latched.add(first._replace(log_ns=2))
    assert latched.add(first._replace(data=b"b"))
    assert latched.add(first._replace(topic="/other"))
    assert [(m.topic, m.data) for m in latched.messages()] == [
        ("/robot_description", b"b"),
        ("/other", b"a"),
    ]
    assert latched.has(STRING) and not latched.has(TF_MESSAGE)


def test_every_static_transform_that_differs() -> None:
    latched = LatchedMessages()
    edges = [StreamMessage("/tf_static", TF_MESSAGE, 1, data, True) for data in (b"a", b"b", b"a")]
    assert [latched.add(edge) for edge in edges] == [True, True, False]
    assert [m.data for m in latched.messages()] == [b"a", b"b"]


def test_somebody_who_keeps_changing_transforms_fills_no_memory() -> None:
    latched = LatchedMessages()
    for i in range(2000):
        latched.add(StreamMessage("/tf_static", TF_MESSAGE, i, str(i).encode(), True))
    assert len(latched.messages()) == 500
