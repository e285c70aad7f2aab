"""What a DRAM channel has done, as the model counts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .timing import DramTiming


@dataclass(frozen=True)
class DramStats:
    """Counts of one channel since creation or the last clear. `reads` and `writes` are column commands, each of
    `burst_bytes`; `bytes_*` is what was asked for, which may be less. A read's latency is the time from its acceptance
    to its last data, for AXI bursts where there are such, else for requests.
    """

    clocks: int                   # memory clocks
    reads: int
    writes: int
    bytes_read: int
    bytes_written: int            # strobed bytes
    row_hits: int                 # reads and writes that found their row open
    row_closed: int               # … their bank closed
    row_conflicts: int            # … another row open
    activates: int
    precharges: int
    refreshes: int
    bank_group_waits: int         # clocks without a column command, a read held back by nothing but CCD_L
    forwarded: int                # reads answered from a waiting write
    merged: int                   # writes joined to a waiting write
    answered: int                 # reads whose latency is counted
    latency_ns: float             # their mean latency; 0 if there are none
    max_latency_ns: float
    seconds: float                # simulated time

    @property
    def bandwidth_gb_s(self) -> float:
        """Bytes asked for, read and written, in 10^9 per second of simulated time."""
        return (self.bytes_read + self.bytes_written) / self.seconds / 1e9 if self.seconds else 0.0


def decode_stats(words: Sequence[int], timing: DramTiming) -> DramStats:
    """`struct DramStats` (dram_timing.h) as a `DramStats`."""
    *counts, answered, total_ps, max_ps = (int(w) for w in words)
    fields: list[Any] = [*counts, answered, total_ps / answered / 1000 if answered else 0.0, max_ps / 1000,
                         counts[0] * round(timing.clock_ns * 1000) * 1e-12]
    return DramStats(*fields)


def total(stats: Iterable[DramStats]) -> DramStats:
    """Channels that ran side by side as one: counts added up, mean latency over all reads, time of the longest."""
    all_of = list(stats)
    fields = {f: sum(getattr(s, f) for s in all_of) for f in DramStats.__dataclass_fields__}
    reads = fields["answered"]
    fields["latency_ns"] = sum(s.latency_ns * s.answered for s in all_of) / reads if reads else 0.0
    for largest in ("max_latency_ns", "seconds", "clocks"):
        fields[largest] = max((getattr(s, largest) for s in all_of), default=0)
    return DramStats(**fields)
