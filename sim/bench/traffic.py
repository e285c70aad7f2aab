"""Bytes of a run: what was asked for, what went over the bus, what attention without pruning would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import PAGE_BYTES, SpAttenConfig
from spatten_hw.host.builder import dense_rows_bytes
from spatten_hw.host.job import LayerJob
from spatten_hw.host.layout import Arena
from spatten_hw.host.results import BYTE_CLASSES, OPERAND_CLASSES
from spatten_hw.host.rows import row_bytes
from spatten_hw.sim.golden.layer_result import LayerResult

#: Widths of dense attention that a run is compared with.
DENSE_BITS = (12, 16)
#: Heads whose dense rows stand for all in `dense_reads`.
SAMPLE_HEADS = 4

#: The read bursts of a channel, in order: rows of (channel-local address, bytes).
Reads = np.ndarray


@dataclass(frozen=True)
class Traffic:
    """Bytes of some jobs. `bus`: by class, in whole beats; `asked`: rows · D · bits / 8 of the classes that are rows of
    operands; `dense`: by width, the same layers dense (`dense_bytes`)."""

    bus: dict[str, int]
    asked: dict[str, int]
    dense: dict[int, int]

    @classmethod
    def of(cls, jobs: Sequence[LayerJob], results: Sequence[LayerResult]) -> Traffic:
        """Of jobs that left these results."""
        pairs = list(zip(jobs, results, strict=True))
        return cls({name: sum(r.bytes[name] for r in results) for name in BYTE_CLASSES},
                   {name: sum(r.rows[name] * row_bytes(j.dim, j.width(name)) for j, r in pairs)
                    for name in OPERAND_CLASSES},
                   {bits: sum(dense_bytes(j, bits) for j in jobs) for bits in DENSE_BITS})

    @property
    def total(self) -> int:
        """All bytes on the bus."""
        return sum(self.bus.values())

    def over_fetch(self, name: str | None = None) -> float | None:
        """Bytes on the bus per byte asked for, of one class or of all rows of operands; None if there are none."""
        names = OPERAND_CLASSES if name is None else (name,)
        asked = sum(self.asked[n] for n in names)
        return sum(self.bus[n] for n in names) / asked if asked else None


def dense_bytes(job: LayerJob, bits: int) -> int:
    """Bytes of a layer of the job's shape with nothing pruned, Q, K and V of `bits` bits, each row read once, no beat
    wasted; outputs included."""
    queries = job.query_heads * job.query_rows
    return dense_rows_bytes(queries, job.heads * job.tokens, job.dim, bits)


def dense_reads(job: LayerJob, bits: int, config: SpAttenConfig) -> list[Reads]:
    """The reads of each channel for all K and then all V rows of `bits` bits, head after head, `SAMPLE_HEADS` of them
    at most, rows where `Arena` puts them."""
    arena, nbytes = Arena(config), row_bytes(job.dim, bits)
    heads = min(job.heads, SAMPLE_HEADS)
    k, v = (arena.plane(heads, job.tokens, nbytes) for _ in range(2))
    tokens = np.arange(job.tokens)
    rows = [(p.channel(h, tokens), p.address(h, tokens)) for h in range(heads) for p in (k, v)]
    return bursts(np.concatenate([c for c, _ in rows]), np.concatenate([a for _, a in rows]), nbytes, config)


def bursts(channels: np.ndarray, rows: np.ndarray, nbytes: int, config: SpAttenConfig) -> list[Reads]:
    """The reads of each channel for rows of `nbytes` at these local addresses of `channels`, in order: whole beats, cut
    at pages."""
    beats = -(-nbytes // config.beat_bytes) * config.beat_bytes
    count = (rows + beats - 1) // PAGE_BYTES - rows // PAGE_BYTES + 1
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    first, at = np.repeat(rows, count), (np.repeat(rows // PAGE_BYTES, count) + number) * PAGE_BYTES
    start, stop = np.maximum(at, first), np.minimum(at + PAGE_BYTES, first + beats)
    reads = np.column_stack([start, stop - start])
    return [reads[np.repeat(channels, count) == c] for c in range(config.channels)]
