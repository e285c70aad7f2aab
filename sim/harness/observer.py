"""What the streams between the blocks did, by the probe in the design (`spatten_hw/probe.py`)."""

from __future__ import annotations

import ctypes

import numpy as np

from .library import HarnessError, Simulation
from .streams import SPAN, JobCounts, Span, StreamCount, array_at, decode_counts, decode_jobs, decode_spans


class Observer(Simulation):
    """Counts of every stream, of every job, and recorded vectors. A library without a probe raises `HarnessError`."""

    def streams(self) -> dict[str, StreamCount]:
        """What every stream has done since creation or `clear_streams`, in cycles outside reset."""
        counts = np.zeros(2 * self._probe(), dtype=np.uint64)
        cycles = self._lib.spatten_stream_counts(self._open(), counts.ctypes.data)
        return decode_counts(self.config, cycles, counts)

    def job_streams(self) -> list[JobCounts]:
        """The same for every job that ended since creation or `clear_streams`, in order."""
        self._probe()
        words = ctypes.c_void_p()
        count = self._lib.spatten_jobs(self._open(), ctypes.byref(words))
        return decode_jobs(self.config, array_at(words.value, count, np.uint64))

    def clear_streams(self) -> None:
        """Sets what `streams` and `job_streams` count to nothing."""
        self._lib.spatten_clear_streams(self._open())

    def record(self, on: bool = True, limit: int = 1_000_000) -> None:
        """Records every vector that passes a stream, up to `limit` of them, from now on; those
        recorded before are forgotten. Switch it on while no job runs, or the first vectors lack their beginnings."""
        self._probe()
        self._lib.spatten_record(self._open(), limit if on else 0)

    def spans(self) -> list[Span]:
        """The recorded vectors in the order in which they ended."""
        return decode_spans(self.config, self._spans()[0])

    @property
    def spans_dropped(self) -> int:
        """Vectors that were not recorded because of the limit."""
        return self._spans()[1]

    def _spans(self) -> tuple[np.ndarray, int]:
        self._probe()
        spans, dropped = ctypes.c_void_p(), ctypes.c_uint64()
        count = self._lib.spatten_spans(self._open(), ctypes.byref(spans), ctypes.byref(dropped))
        return array_at(spans.value, count, SPAN), dropped.value

    def _probe(self) -> int:
        """Number of observed streams."""
        count = self._lib.spatten_streams(self._open())
        if not count:
            raise HarnessError("this library was built without a probe: its streams cannot be observed")
        return count
