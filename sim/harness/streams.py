"""What the probe of a simulation says: how long each stream moved, was blocked or was idle, and which vectors passed.

Names of streams and their key fields are those of `spatten_hw/probe.py`; cycles are those of the transport.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.probe import observed

#: Name of the span that marks a reset.
RESET = "reset"
#: `struct Span` of probe.h.
SPAN = np.dtype([("first", "<u8"), ("last", "<u8"), ("key", "<u8"), ("stream", "<u4"), ("rows", "<u4"),
                 ("blocked", "<u4"), ("spare", "<u4")])


class StreamCount(NamedTuple):
    """Cycles in which a stream moved a row, was offered one that was not taken, and had none.

    For a state bit (`busy_score`, `stall_value`, `running`, …): cycles in which it was 1, 0, cycles in which it was 0.
    """

    fired: int
    blocked: int
    idle: int

    @property
    def cycles(self) -> int:
        """All cycles that were counted."""
        return sum(self)


class Span(NamedTuple):
    """One vector (or command) on one stream: from the cycle its first row was offered to the one its last row moved,
    both included. `rows` moved; `blocked` cycles of it a row waited to be taken. `key`: which work item it was."""

    stream: str
    first: int
    last: int
    rows: int
    blocked: int
    key: Mapping[str, int]

    @property
    def idle(self) -> int:
        """Cycles of the span in which no row was there."""
        return self.last - self.first + 1 - self.rows - self.blocked


@dataclass(frozen=True)
class JobCounts:
    """The streams from the cycle the sequencer took a job, or, if that was later, the one after the end of the job
    before, to that of its completion, both included: every cycle with a job counts once."""

    first: int
    last: int
    streams: Mapping[str, StreamCount]

    @property
    def cycles(self) -> int:
        """Length of that time."""
        return self.last - self.first + 1


def decode_counts(config: SpAttenConfig, cycles: int, words: np.ndarray) -> dict[str, StreamCount]:
    """Counts from (fired, blocked) pairs in the order of `observed`."""
    pairs = words.reshape(-1, 2).tolist()
    return {o.name: StreamCount(fired, blocked, cycles - fired - blocked)
            for o, (fired, blocked) in zip(observed(config), pairs, strict=True)}


def decode_jobs(config: SpAttenConfig, words: np.ndarray) -> list[JobCounts]:
    """Finished jobs from `Probe::jobs` of probe.h."""
    rows = words.reshape(-1, 2 + 2 * len(observed(config)))
    return [JobCounts(int(r[0]), int(r[1]), decode_counts(config, int(r[1] - r[0]) + 1, r[2:])) for r in rows]


def decode_spans(config: SpAttenConfig, raw: np.ndarray) -> list[Span]:
    """`SPAN` records with names, in the order in which they ended."""
    table = observed(config)
    fields = [[(name, width) for name, width in o.fields(config).items()] for o in table]
    spans = []
    for first, last, key, stream, rows, blocked, _ in raw.tolist():
        if stream >= len(table):
            spans.append(Span(RESET, first, last, 0, 0, {}))
            continue
        values = {}
        for name, width in fields[stream]:
            values[name] = key & ((1 << width) - 1)
            key >>= width
        spans.append(Span(table[stream].name, first, last, rows, blocked, values))
    return spans


def array_at(address: int | None, count: int, dtype: np.dtype | type) -> np.ndarray:
    """A copy of `count` elements of C memory."""
    if not address or not count:
        return np.zeros(0, dtype=dtype)
    size = np.dtype(dtype).itemsize * count
    memory = (ctypes.c_char * size).from_address(address)
    return np.frombuffer(bytearray(memory), dtype=dtype)
