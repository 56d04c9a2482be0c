# SPDX-License-Identifier: Apache-2.0
"""The calibrator: solves what the recorder holds, or a file, shows the result and publishes it."""

from __future__ import annotations

import logging
import time
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from std_srvs.srv import Trigger

from calib_all_ros.errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERNAL_ERROR,
    EXIT_INTERRUPTED,
    EXIT_REJECTED,
    CalibAllError,
)
from calib_all_ros.nodes.calibrator_parameters import CalibratorParameters
from calib_all_ros.nodes.calibrator_status import AcceptedResult, CalibratorStatus
from calib_all_ros.nodes.calibrator_views import MarkClicks, ResultViews
from calib_all_ros.nodes.executable import Finished, log_sentence, run, steady_timer
from calib_all_ros.nodes.parameters import declare
from calib_all_ros.nodes.recorder_status import RecorderClient
from calib_all_ros.nodes.solve_requests import GivenMark, MarkImage, ShowMarkImage, Solve, Solved
from calib_all_ros.nodes.worker_process import (
    Done,
    Failed,
    LogLine,
    Message,
    StageProgress,
    WorkerProcess,
)
from calib_all_ros.pictures.output_folder import RESULT_PICTURES
from calib_all_ros.results.calibration import Calibration

_LISTEN_EVERY_S = 0.1
_PATIENCE_S = 5.0
_DELIVERY = Duration(seconds=2)


class CalibratorNode(Node):
    """Turns a recording into a result, and an accepted result into a saved one and a TF."""

    def __init__(self) -> None:
        """Wait for a recording, or begin with the one that the parameters name.

        Raises:
            CalibAllError: The parameters are impossible.
        """
        super().__init__("calibrator")
        self._options = declare(self, CalibratorParameters)
        self._recording = self._options.recording
        self._mark = self._options.given_mark()
        self._mark_is_new = False
        self._job: Solve | ShowMarkImage | None = None
        self._worker: WorkerProcess | None = None
        self._ending: list[WorkerProcess] = []
        self._result: Calibration | None = None
        self._is_accepted = False
        self._accepted = AcceptedResult(self, self._options)
        self._status = CalibratorStatus(self, self._options.name)
        self._views = ResultViews(self)
        self._clicks = MarkClicks(
            self, self._options.eef_link, self._options.mark_frame, self._on_mark
        )
        self._recorder = RecorderClient(self, self._options.recorder, self._on_recording)
        group = self._recorder.group
        self.create_service(Trigger, "~/start", self._start, callback_group=group)
        self.create_service(Trigger, "~/stop", self._stop, callback_group=group)
        self.create_service(Trigger, "~/discard", self._discard, callback_group=group)
        self.create_service(Trigger, "~/solve", self._solve)
        self.create_service(Trigger, "~/accept", self._accept)
        steady_timer(self, _LISTEN_EVERY_S, self._listen)
        self._started_s = time.monotonic()
        if self._recording:
            self._begin()

    def close(self) -> int:
        """End a running solve; return the exit code of an interruption."""
        interrupted = self._worker is not None
        if self._worker is not None:
            self._cancel()
            self._status.say("warn", "interrupted while solving, without a result")
        for worker in self._ending:
            worker.close()
        return EXIT_INTERRUPTED if interrupted else 0

    # What there is to solve.

    def _on_recording(self, path: str) -> None:
        """Take note of what the recorder has finished, unless the parameters name a file."""
        if self._options.recording or path == self._recording:
            return
        self._recording = path
        if not self._mark_is_new:
            # It was on an image of another recording.
            self._mark = self._options.given_mark()
        if path:
            self._begin()

    def _begin(self) -> None:
        """Do with a recording what the parameters ask for."""
        if self._options.wait_for_mark and self._mark is None:
            files = self._options.files(self._recording)
            self._run(ShowMarkImage(files, self._options.mark_frame))
        elif self._options.auto_solve:
            self._run_solve()
        else:
            self._status.say("ok", f"has {self._recording}: {self._full('solve')} solves it")

    def _on_mark(self, mark: GivenMark) -> None:
        self._mark, self._mark_is_new = mark, True
        u, v = mark.pixel
        self.get_logger().info(f"takes the mark at {u:g},{v:g} on {mark.link} for the next solve")
        if self._waits_for_mark and self._options.auto_solve:
            self._run_solve()

    @property
    def _waits_for_mark(self) -> bool:
        idle = self._worker is None and self._result is None and bool(self._recording)
        return self._options.wait_for_mark and idle

    def _run_solve(self) -> None:
        options = self._options
        files, link = options.files(self._recording), options.eef_link or None
        self._mark_is_new = False
        self._run(Solve(files, options.settings, self._mark, link))

    # The worker.

    def _run(self, job: Solve | ShowMarkImage) -> None:
        """Let a job take the place of what was going on."""
        self._cancel()
        self._result, self._is_accepted = None, False
        self._job = job
        if isinstance(job, Solve):
            self._worker = WorkerProcess(job, self._options.folder(), RESULT_PICTURES)
            self._status.say("ok", f"solves {self._recording}", share_percent=0)
        else:
            self._worker = WorkerProcess(job)
            self._status.say("ok", f"reads {self._recording}")

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            self._ending.append(self._worker)
            self._worker = None

    def _listen(self) -> None:
        """Hear what the worker says, and what became of the TF."""
        self._ending = [worker for worker in self._ending if worker.running]
        for message in [] if self._worker is None else self._worker.messages():
            self._on_message(message)
        if self._is_accepted:
            # The TF's broadcaster puts it into the log itself.
            self._status.say(*self._accepted.situation(), log=False)
        elif not self._recording and self._worker is None and self._result is None:
            self._tell_of_recorder()

    def _on_message(self, message: Message) -> None:
        if isinstance(message, LogLine):
            log_sentence(self, "warn" if message.level >= logging.WARNING else "ok", message.text)
        elif isinstance(message, StageProgress):
            if not isinstance(self._job, Solve):
                return
            percent = round(100 * message.share)
            self._status.say(
                "ok",
                f"solving: {message.stage}, {10 * (percent // 10)} %",
                log=False,
                stage=message.stage,
                share_percent=percent,
            )
        else:
            if self._worker is not None:
                self._ending.append(self._worker)
            self._worker = None
            self._on_end(message)

    def _on_end(self, message: Done | Failed) -> None:
        if isinstance(message, Failed):
            self._views.clear()
            self._status.no_verdict("failed", message.sentence)
            self._status.say("error", message.sentence)
            self._exit_if_done(EXIT_INTERNAL_ERROR if message.internal else EXIT_BAD_INPUT)
        elif isinstance(message.result, MarkImage):
            self._clicks.show(message.result)
            link, image = self._options.eef_link, self._full("mark_image")
            without = self._full("solve")
            self._status.say("ok", f"click on a mark on {link} in {image}, or call {without}")
            if self._mark is not None and self._options.auto_solve:
                # It came while the image was being read.
                self._run_solve()
        else:
            self._on_solved(message.result)

    def _on_solved(self, solved: Solved) -> None:
        # The pictures are not kept: they are large, and published below.
        calibration, verdict = solved.calibration, solved.calibration.verdict
        self._result = calibration
        options = self._options
        base = options.tf_base_frame or calibration.robot.base_frame
        self._views.show(solved, options.name, base)
        self._status.judge(calibration, folder=str(options.folder()), saved="")
        look = f"look at {self._full('overlay/image')}"
        reasons = " ".join(f"{reason};" for reason in verdict.reasons)
        if verdict.status == "accepted" and options.auto_accept:
            self._save_and_publish(calibration)
        elif verdict.status == "accepted":
            accept = self._full("accept")
            self._status.say("ok", f"accepted: {look}, then {accept} saves and publishes it")
        elif verdict.status == "warning":
            choice = f"{self._full('accept')} or {self._full('discard')}"
            self._status.say("warn", f"warning: {reasons} {look}, then call {choice}")
        else:
            again = f"record again ({self._full('start')})"
            self._status.say("error", f"rejected: {reasons} {look}, and {again}")
        self._exit_if_done(EXIT_REJECTED if verdict.status == "rejected" else 0)

    def _exit_if_done(self, exit_code: int) -> None:
        if self._options.exit_when_done:
            self._views.wait_for_delivery(_DELIVERY)
            self._status.wait_for_delivery(_DELIVERY)
            raise Finished(exit_code)

    # Services.

    async def _start(self, request: Any, response: Any) -> Any:
        response.success, response.message = await self._recorder.call("start")
        return response

    async def _stop(self, request: Any, response: Any) -> Any:
        response.success, response.message = await self._recorder.call("stop")
        return response

    def _solve(self, request: Any, response: Any) -> Any:
        if self._worker is not None and isinstance(self._job, Solve):
            response.message = f"a solve is running: {self._full('discard')} ends it"
        elif not self._recording:
            response.message = (
                f"there is no recording yet: {self._full('stop')} ends the recorder's, or give "
                "the parameter recording"
            )
        else:
            self._run_solve()
            response.success, response.message = True, f"solves {self._recording}"
        return response

    def _accept(self, request: Any, response: Any) -> Any:
        result = self._result
        if result is None:
            response.message = f"there is no result to accept: {self._status.sentence}"
        elif self._is_accepted:
            response.success, response.message = True, self._status.sentence
        elif result.verdict.status == "rejected" and not self._options.force:
            response.message = (
                f"the result is rejected ({' '.join(result.verdict.reasons)}): record "
                "again, or set the parameter force to accept it all the same"
            )
        else:
            response.success, response.message = self._save_and_publish(result)
        return response

    async def _discard(self, request: Any, response: Any) -> Any:
        said = self._forget()
        if self._recorder.present and not self._options.recording:
            response.success, more = await self._recorder.call("discard")
            said = f"{said}; {more}"
        else:
            response.success = True
        response.message = said
        return response

    def _forget(self) -> str:
        """End a solve and forget its result; return what was done."""
        said = "nothing to discard here"
        if self._worker is not None:
            said = "the solve is ended, nothing was written"
        elif self._result is not None:
            said = "the result is forgotten"
        self._cancel()
        if self._is_accepted:
            said += f", {self._accepted.path} stays"
            self._accepted.withdraw()
        self._result, self._is_accepted = None, False
        self._mark = self._options.given_mark()
        self._views.clear()
        self._status.no_verdict("none")
        self._status.say("ok", said)
        return said

    def _save_and_publish(self, calibration: Calibration) -> tuple[bool, str]:
        """Accept a result; return whether that worked, in words."""
        try:
            self._accepted.accept(calibration)
        except CalibAllError as error:
            self._status.say("error", str(error))
            return False, str(error)
        self._is_accepted = True
        folder = str(self._options.folder())
        self._status.judge(calibration, folder=folder, saved=self._accepted.path)
        self._status.say(*self._accepted.situation())
        return True, self._status.sentence

    def _tell_of_recorder(self) -> None:
        topic = self._recorder.topic
        if self._recorder.present:
            self._status.say("ok", f"waits for a recording on {topic}")
        elif time.monotonic() - self._started_s > _PATIENCE_S:
            advice = "start the recorder, or give the parameter recording"
            self._status.say("warn", f"waits for a recording, but nobody is at {topic}: {advice}")

    def _full(self, name: str) -> str:
        """Return the full name of one of the node's topics or services."""
        return f"{self.get_fully_qualified_name()}/{name}"


def main() -> int:
    """Run the node."""
    return run(CalibratorNode)


if __name__ == "__main__":
    raise SystemExit(main())
