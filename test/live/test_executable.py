# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from typing import Any

import pytest

pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

NODE = """
import rclpy, sys
from rclpy.node import Node
from calib_all_ros.errors import CalibAllError
from calib_all_ros.nodes.executable import Finished, exit_with

class Example(Node):
    def __init__(self):
        super().__init__("example")
        if {where!r} == "start":
            {what}
        self.create_timer(0.05, self.act)
        print("ready", flush=True)

    def act(self):
        if {where!r} == "callback":
            {what}

    def close(self):
        self.get_logger().info("closed in order")
        {closing}

exit_with(Example)
"""


def start(graph: Any, where: str, what: str = "pass", closing: str = "return 0") -> Any:
    source = NODE.format(where=where, what=what, closing=closing)
    return graph.run([sys.executable, "-c", source], "example")


@pytest.mark.parametrize("where", ["start", "callback"])
def test_bad_input_is_one_sentence_and_code_2(graph: Any, where: str) -> None:
    program = start(graph, where, "raise CalibAllError('no such camera')")
    assert program.exit_code() == 2
    assert "no such camera" in program.output
    assert "Traceback" not in program.output


@pytest.mark.parametrize("where", ["start", "callback"])
def test_a_bug_shows_its_traceback_and_code_1(graph: Any, where: str) -> None:
    program = start(graph, where, "1 / 0")
    assert program.exit_code() == 1
    assert "internal error" in program.output
    assert "ZeroDivisionError" in program.output


def test_a_node_that_is_done_ends_itself(graph: Any) -> None:
    program = start(graph, "callback", "raise Finished(3)")
    assert program.exit_code() == 3
    assert "closed in order" in program.output


@pytest.mark.parametrize(("closing", "code"), [("return None", 0), ("return 130", 130)])
def test_interrupted_node_closes_in_order(graph: Any, closing: str, code: int) -> None:
    program = start(graph, "nowhere", closing=closing)
    graph.wait_for(lambda: "ready" in program.output, "the node")
    program.interrupt()
    assert program.exit_code() == code
    assert "closed in order" in program.output
    assert "Traceback" not in program.output
