# SPDX-License-Identifier: Apache-2.0
"""The recorder: collects what a calibration needs, from the live graph or from a bag."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from calib_all_ros.collection.collector import Collector, Progress
from calib_all_ros.collection.finding import sorted_findings
from calib_all_ros.collection.playback import BagTopics, play
from calib_all_ros.collection.stream_writer import (
    complete_recording,
    interrupted_recordings,
    recording_name,
)
from calib_all_ros.errors import CalibAllError
from calib_all_ros.nodes.executable import Finished, run, steady_timer
from calib_all_ros.nodes.messages import LATCHED
from calib_all_ros.nodes.parameters import declare
from calib_all_ros.nodes.recorder_parameters import RecorderParameters
from calib_all_ros.nodes.recorder_sources import RecorderSources
from calib_all_ros.nodes.recorder_status import RecorderStatus
from calib_all_ros.robot.description import read_description

_LOOK_EVERY_S = 0.2
_SHOW_EVERY_S = 1.0
_SECOND_NS = 1_000_000_000


class RecorderNode(Node):
    """Listens, or plays a bag, and keeps one recording at a time."""

    def __init__(self) -> None:
        """Begin to listen or to play.

        Raises:
            CalibAllError: The parameters are impossible, or a file they name cannot be read.
        """
        super().__init__("recorder")
        self._options = declare(self, RecorderParameters)
        parameters = self._options
        urdf = parameters.urdf
        self._collector = Collector(
            parameters.collection(),
            urdf=read_description(urdf) if urdf else None,
            base_frame=parameters.base_frame or None,
            configurations=parameters.listed_configurations(),
            in_background=not parameters.bag,
        )
        self._finished: Path | None = None
        self._started_ns = 0
        self._starts_itself = parameters.auto_start
        self._last_words = ""
        self._recording = self.create_publisher(String, "~/recording", LATCHED)
        self._status = RecorderStatus(self)
        self._announce(None)
        self._complete_interrupted()
        self.create_service(Trigger, "~/start", self._start)
        self.create_service(Trigger, "~/stop", self._stop)
        self.create_service(Trigger, "~/discard", self._discard)
        self._sources: RecorderSources | None = None
        self._playing = True
        self._player: threading.Thread | None = None
        self._play_error: Exception | None = None
        if parameters.bag:
            self._player = threading.Thread(target=self._play, name="bag_player", daemon=True)
            self._player.start()
        else:
            self._listen()
        steady_timer(self, _LOOK_EVERY_S, self._look)
        steady_timer(self, _SHOW_EVERY_S, self._show)

    def close(self) -> int:
        """Finish the recording under way."""
        self._playing = False
        if self._player is not None:
            self._player.join()
        self._collector.stop()
        if self._collector.state == "closing":
            self._conclude(wait=True)
        self._collector.close()
        return 0

    # What happens by itself.

    def _look(self) -> None:
        """Begin, finish and announce recordings when it is time."""
        if self._play_error is not None:
            raise self._play_error
        if self._sources is not None:
            self._sources.look()
        state = self._collector.state
        if state == "closing":
            self._conclude()
        elif state == "recording" and not self._options.bag:
            self._stop_if_due()
        elif self._starts_itself and self._sources is not None and self._is_ready():
            self._begin()

    def _is_ready(self) -> bool:
        # Simulated time is 0 until /clock has come.
        return self._now_ns() > 0 and self._collector.awaits is None

    def _listen(self) -> None:
        if self._sources is None and not self._options.bag:
            self._sources = RecorderSources(self, self._options, self._collector.add)

    def _begin(self) -> Path:
        """Begin a recording and return the folder that it will be."""
        self._listen()
        self._starts_itself = False
        folder = self._options.recordings() / recording_name()
        self._started_ns = self._now_ns()
        self._last_words = ""
        path = self._collector.start(folder, self._started_ns)
        self._announce(None)
        self.get_logger().info(f"records to {path}")
        return path

    def _stop_if_due(self) -> None:
        parameters = self._options
        seconds = (self._now_ns() - self._started_ns) / _SECOND_NS
        longest_s = parameters.max_duration_s
        progress = self._progress()
        if parameters.auto_stop and progress.is_informative:
            self._last_words = "the recording is informative enough"
            self._collector.stop()
        elif parameters.mode == "continuous" and 0 < longest_s < seconds:
            missing = [f.sentence for f in progress.findings if f.level in ("error", "hint")]
            self._last_words = (
                f"the recording has lasted {longest_s:g} s (max_duration_s); what it lacks: "
                f"{'; '.join(missing) or 'nothing'}"
            )
            self._collector.stop()

    def _conclude(self, *, wait: bool = False) -> None:
        """Announce a recording that has just been finished."""
        try:
            path = self._collector.result(None if wait else 0.0)
        except CalibAllError as error:
            self._status.log("disk", "error", str(error))
            return
        if self._collector.state == "closing":
            return
        why = self._collector.ended_by or self._last_words
        if path is None:
            reason = why or "there is no image in it"
            self.get_logger().warning(f"the recording is deleted: {reason}")
        else:
            images = self._collector.images
            self.get_logger().info(
                f"finished a recording of {images} images: {path}{f' ({why})' if why else ''}"
            )
            # Images that nobody records cost as much as others; the solve needs the machine now.
            if self._sources is not None:
                self._sources.close()
                self._sources = None
        self._announce(path)
        if self._options.exit_when_done and not wait:
            raise Finished(0)

    def _announce(self, path: Path | None) -> None:
        self._finished = path
        self._recording.publish(String(data="" if path is None else str(path)))

    def _play(self) -> None:
        """Play the bag to its end; in a thread of its own."""
        parameters = self._options
        # A topic that is only the default of the live graph need not be in the bag.
        named = parameters.joint_topics
        joints = () if named == RecorderParameters().joint_topics else named
        topics = BagTopics(parameters.image_topic, parameters.camera_info_topic, joints)
        try:
            play(
                Path(parameters.bag),
                self._collector,
                parameters.recordings() / recording_name(),
                topics,
                keep_on=lambda: self._playing,
            )
            self._last_words = self._verdict_on_bag()
            self._collector.stop()
        # Whatever it is, it belongs to the main thread, which ends the node with it.
        except Exception as error:
            self._play_error = error

    def _verdict_on_bag(self) -> str:
        missing = [finding.sentence for finding in self._progress().findings]
        return "the whole bag" + (f"; {'; '.join(missing)}" if missing else "")

    def _complete_interrupted(self) -> None:
        """Make ordinary bags of what earlier recorders could not finish."""
        for unfinished in interrupted_recordings(self._options.recordings()):
            try:
                path = complete_recording(unfinished)
            except CalibAllError as error:
                self.get_logger().warning(str(error))
            else:
                self.get_logger().info(f"completed a recording that was interrupted: {path}")

    # What people see.

    def _now_ns(self) -> int:
        """Return the present time, of the clock that the messages are received by."""
        if self._options.bag:
            return self._collector.now_ns
        return int(self.get_clock().now().nanoseconds)

    def _progress(self) -> Progress:
        return self._collector.progress(self._now_ns())

    def _show(self) -> None:
        progress = self._progress()
        figures = dict(progress.figures)
        # Once there is a recording, what the streams do is of no concern any more.
        settled = progress.state == "idle" and self._finished is not None
        findings = [] if settled else list(progress.findings)
        if self._sources is not None and not settled:
            told = self._sources.findings()
            subjects = {finding.topic for finding in told}
            findings = told + [f for f in findings if f.topic not in subjects]
            figures.update(self._sources.received())
        self._status.show(self._state_in_words(progress), sorted_findings(findings), figures)

    def _state_in_words(self, progress: Progress) -> str:
        figures = progress.figures
        if progress.state == "recording" and not figures["images"]:
            return "recording: no image yet"
        if progress.state == "recording":
            return f"recording: {figures['images']} images in {figures['duration_s']} s"
        if progress.state == "closing":
            return "finishing the recording"
        if self._finished is not None:
            return f"finished: {self._finished}"
        if self._starts_itself and self._collector.awaits:
            return f"waits for {self._collector.awaits}"
        if self._starts_itself and self._now_ns() == 0:
            return "waits for /clock"
        return f"ready: call {self.get_fully_qualified_name()}/start"

    # Services.

    def _start(self, request: Any, response: Any) -> Any:
        if self._options.bag:
            response.message = "the recorder plays a bag: start one without the parameter bag"
            return response
        if self._collector.state == "closing":
            self._conclude()
        try:
            path = self._begin()
        except CalibAllError as error:
            response.message = str(error)
        else:
            response.success, response.message = True, f"records to {path}"
        return response

    def _stop(self, request: Any, response: Any) -> Any:
        if self._collector.state != "recording":
            response.message = "nothing is being recorded"
            return response
        lacking = [f.sentence for f in self._progress().findings if f.level == "error"]
        said = "; ".join(["~/stop was called", *lacking])
        self._last_words = said if self._collector.images else ""
        self._collector.stop()
        response.success = True
        images = f"finishes a recording of {self._collector.images} images"
        response.message = "; ".join([images, *lacking])
        return response

    def _discard(self, request: Any, response: Any) -> Any:
        """Delete what is being recorded; forget what is finished, its files stay."""
        response.success = True
        if self._collector.state == "recording":
            self._last_words = "~/discard was called"
            self._collector.discard()
            response.message = "the recording under way is deleted"
        elif self._finished is not None:
            response.message = f"the recording is forgotten, its files stay: {self._finished}"
            self._announce(None)
        else:
            response.message = "there is nothing to discard"
        return response


def main() -> int:
    """Run the node."""
    return run(RecorderNode)


if __name__ == "__main__":
    raise SystemExit(main())
