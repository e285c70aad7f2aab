"""What the streams between the blocks did, by the probe in the design (`spatten_hw/probe.py`)."""

from __future__ import annotations

import ctypes

import numpy as np

from .hang import MOST_JOBS, PATIENCE, Hang, HangError, find_waits, open_accesses, slow_patience
from .library import HarnessError, Simulation
from .streams import SPAN, JobCounts, Span, StreamCount, array_at, decode_counts, decode_jobs, decode_spans


class Observer(Simulation):
    """Counts of every stream, of every job, and recorded vectors. A library without a probe raises `HarnessError`.

    While there is a job and nothing has moved for long, on no stream and no memory port, whatever runs the simulation
    raises `HangError`. Accesses to the control port are no movement: a host may poll. Nothing is a hang while a
    completion waits for the host to make room.
    """

    def set_patience(self, cycles: int = PATIENCE) -> None:
        """Cycles that are long, beside what the memories may take; 0: any time is allowed. Longer where a unit that
        looks at all tokens is busy (`hang.slow_patience`)."""
        self._lib.spatten_patience(self._open(), cycles, slow_patience(self.config, cycles))

    def _check(self) -> None:
        super()._check()
        if still := self._lib.spatten_hung(self._open()):
            raise HangError(self._hang(still))

    def _hang(self, still: int) -> Hang:
        words = ctypes.c_void_p()
        ports = []
        for channel in range(self.config.channels):
            count = self._lib.spatten_open(self._open(), channel, ctypes.byref(words))
            ports.append(open_accesses(channel, array_at(words.value, count, np.uint64).tolist()))
        count = self._lib.spatten_shown(self._open(), ctypes.byref(words))
        shown = array_at(words.value, count, np.uint64)
        keys = (ctypes.c_uint64 * MOST_JOBS)()
        jobs = self._lib.spatten_running(self._open(), keys, MOST_JOBS)
        waits, idle, busy = find_waits(self.config, shown, tuple(ports))
        tags = tuple(key & 0xFFFF for key in keys[:min(jobs, MOST_JOBS)])
        return Hang(self._lib.spatten_cycles(self._open()), still, tags, waits, idle, busy, tuple(ports))

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
