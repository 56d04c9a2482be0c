# SPDX-License-Identifier: Apache-2.0
"""The node's log in the levels of diagnostics."""

from __future__ import annotations

from rclpy.node import Node


def log(node: Node, level: str, sentence: str) -> None:
    """Log a sentence.

    Args:
        node: Whose log.
        level: "ok" becomes INFO, "error" ERROR, the others ("warn", "stale") WARN.
        sentence: What there is to say.
    """
    logger = node.get_logger()
    # One line each: rclpy refuses a second severity on the same line.
    if level == "ok":
        logger.info(sentence)
    elif level == "error":
        logger.error(sentence)
    else:
        logger.warning(sentence)
