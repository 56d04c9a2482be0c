# SPDX-License-Identifier: Apache-2.0
"""The joint states of the last seconds, to know the pose at an image's stamp."""

from __future__ import annotations

from bisect import bisect_left

from calib_all_ros.collection.serialised import JointSample

_SECOND_NS = 1_000_000_000
_KEPT_NS = 5 * _SECOND_NS
# The nearest sample stands for the pose; at usual rates that is nearer than poses have to be.
_NEAR_NS = 100_000_000


class JointHistory:
    """Keeps the joint states of five seconds, of each set of joints by itself."""

    def __init__(self) -> None:
        """Begin without any."""
        self._samples: dict[tuple[str, ...], list[JointSample]] = {}

    def add(self, sample: JointSample) -> None:
        """Add a joint state."""
        samples = self._samples.setdefault(sample.names, [])
        if samples and sample.stamp_ns < samples[-1].stamp_ns:
            # The clock was set back, or a bag begins anew.
            samples.clear()
        samples.append(sample)
        # Half of the list goes at a time: taking away the first of a list each time is slow.
        middle = len(samples) // 2
        if sample.stamp_ns - samples[middle].stamp_ns > _KEPT_NS:
            del samples[:middle]

    @property
    def newest_ns(self) -> int:
        """The newest stamp, 0 if there is none."""
        return max((samples[-1].stamp_ns for samples in self._samples.values()), default=0)

    def is_known_until(self, stamp_ns: int) -> bool:
        """Return whether all joints have been heard of since a stamp."""
        return bool(self._samples) and all(
            samples[-1].stamp_ns >= stamp_ns for samples in self._samples.values()
        )

    def at(self, stamp_ns: int) -> dict[str, float]:
        """Return the positions of the joints that are known within 0.1 s of a stamp."""
        pose: dict[str, float] = {}
        for names, samples in self._samples.items():
            place = bisect_left(samples, stamp_ns, key=lambda sample: sample.stamp_ns)
            near = samples[max(place - 1, 0) : place + 1]
            sample = min(near, key=lambda sample: abs(sample.stamp_ns - stamp_ns))
            if abs(sample.stamp_ns - stamp_ns) <= _NEAR_NS:
                pose.update(zip(names, sample.positions.tolist(), strict=False))
        return pose
