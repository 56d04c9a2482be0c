# SPDX-License-Identifier: Apache-2.0
"""Jobs on Ray, on the cores of this machine or on a cluster.

Ray starts what lost its worker again (``max_retries``), watches the machine's memory and keeps
jobs apart that need much (``memory``), and ends workers now and then (``max_calls``). Results are
taken as they come, so that a slow job holds nobody up. Ray has no speculative execution.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

from calib_all_ros.dataset.engine import Failure, Job, Result, attempt
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.models.libraries import require

# Numeric libraries that use all cores in every worker slow each other down.
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_MB = 2**20
_ANSWER_S = 5.0


class RayEngine:
    """Runs jobs as Ray tasks of one core each."""

    isolated = True

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int | None = None,
        memory_mb: float = 0.0,
        time_limit_s: float = 0.0,
        retries: int = 3,
    ) -> None:
        """Join a cluster, or start one on this machine.

        Args:
            address: Of the cluster; None starts one.
            workers: Cores of this machine to use; None takes all.
            memory_mb: What Ray keeps free for each job; 0 lets it watch the machine's memory only.
            time_limit_s: When a job is given up, counted from when it was handed to Ray; 0 never.
            retries: How often a job is started again whose worker was lost.

        Raises:
            DatasetError: There is no cluster, or this machine has less memory than one job is to
                be given.
            ModelUnavailableError: Ray is not installed.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray starts what memory ran out for again without end; a job too large would never fail.
        os.environ.setdefault("RAY_task_oom_retries", str(retries))
        self._ray: Any = require("ray", "ray")
        self._time_limit_s = time_limit_s
        self._memory = memory_mb * _MB
        # A second job per core waits for the first to end, unless its waiting would count.
        self._jobs_ahead = 1 if time_limit_s else 2
        # Without an address Ray would join whatever cluster it finds on this machine.
        own = {"address": "local", "num_cpus": workers, "include_dashboard": False}
        where = own if address is None else {"address": address}
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address is not None:
                _probe(address)
            self._ray.init(runtime_env={"env_vars": _THREADS}, **where, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            if address is None:
                raise DatasetError(
                    f"Ray does not start here ({reason}): leave out --ray"
                ) from error
            raise DatasetError(
                f"there is no Ray cluster at {address} that can be joined ({reason}): start it "
                "with `ray start --head`, or use --ray"
            ) from error
        most_mb = self._ray.cluster_resources().get("memory", 0.0) / _MB
        if address is None and memory_mb > most_mb:
            self.close()
            raise DatasetError(
                f"--memory {memory_mb:g} MB is more than the {most_mb:.0f} MB that this machine "
                "has for jobs: give less"
            )
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": retries, "max_calls": 50}
        memory = {"memory": self._memory} if memory_mb else {}
        self._task = self._ray.remote(**options, **memory)(attempt)

    def map_unordered(self, jobs: Iterable[Job[Result]]) -> Iterator[tuple[int, Result | Failure]]:
        """Yield the number of each job and its outcome, as they are finished."""
        waiting = list(enumerate(jobs))[::-1]
        running: dict[Any, tuple[int, float]] = {}
        while waiting or running:
            while waiting and len(running) < self._jobs_ahead * self._slots():
                number, job = waiting.pop()
                running[self._task.remote(job)] = number, time.monotonic()
            done, _ = self._ray.wait(list(running), num_returns=1, timeout=1.0)
            for task in done:
                yield running.pop(task)[0], self._outcome(task)
            for task, (_, since) in running.items():
                if 0 < self._time_limit_s < time.monotonic() - since:
                    self._ray.cancel(task, force=True)

    def close(self) -> None:
        """Leave the cluster; what was started here ends."""
        self._ray.shutdown()

    def _slots(self) -> int:
        """Return how many jobs there is room for at a time."""
        resources = self._ray.cluster_resources()
        slots = resources.get("CPU", 1.0)
        if self._memory:
            slots = min(slots, resources.get("memory", 0.0) // self._memory)
        return max(1, int(slots))

    def _outcome(self, task: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(task)
        except errors.TaskCancelledError:
            late = f"it was not finished {self._time_limit_s:g} s after it was handed to Ray"
            return Failure(f"{late}: raise --time-limit")
        except errors.OutOfMemoryError:
            advice = "give each job more (--memory), or use fewer --workers"
            return Failure(f"memory ran out again and again: {advice}")
        except errors.RayError as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            advice = "run `calib_all calibrate` on it to see why"
            return Failure(f"its worker was lost again and again ({reason}): {advice}")


def _probe(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
