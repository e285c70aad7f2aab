"""A simulation in which nothing moves any more: which unit waits for which, and what memory owes.

Names of units and streams are those of `spatten_hw/probe.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.probe import LEVELS, WORD, Observed, memory, observed

from .library import HarnessError

#: Cycles without anything moving, while there is a job, that are a hang (beside what memories may take).
PATIENCE = 5000
#: Times that a top-k engine may go through all tokens without giving anything: three times what random data need.
PASSES = 64

#: State bit "has work" → unit.
_BUSY = {"busy_fetch": "fetch", "busy_score": "score", "busy_softmax": "softmax", "busy_topk": "top-k",
         "busy_value": "value", "busy_write": "write", "busy_cascade": "cascade pruner"}
#: State bit "has work, and this is missing" → unit, what it wants, of whom.
_STARVED = {"stall_score": ("score", "rows of K or Q are missing", "fetch"),
            "stall_value": ("value", "rows of V are missing", "fetch")}
#: Most jobs whose tags are looked up: two run at a time.
MOST_JOBS = 4


def slow_patience(config: SpAttenConfig, patience: int = PATIENCE) -> int:
    """The same while softmax, a top-k engine or the cascade pruner works: they may look at all tokens, and again, or at
    all heads for every head that is dropped (`HeadPruning`)."""
    heads = config.max_heads * (config.max_heads + 7)
    return patience + PASSES * -(-config.max_tokens // config.topk_lanes) + heads


@dataclass(frozen=True)
class OpenAccesses:
    """What is open on a memory port: channels on which something is `offered` ("AR", "AW", "W") and not taken; reads
    without their last beat (id, address, beats left, age in cycles); addresses of complete writes without an
    answer; numbers of write addresses without all their data, and of beats without an address."""

    channel: int
    offered: tuple[str, ...]
    reads: tuple[tuple[int, int, int, int], ...]
    writes: tuple[int, ...]
    no_data: int
    no_address: int


@dataclass(frozen=True)
class Wait:
    """`unit` cannot go on before `on` does something; `why` in words."""

    unit: str
    on: str
    why: str

    def __str__(self) -> str:
        return f"{self.unit} waits for {self.on} ({self.why})"


@dataclass(frozen=True)
class Hang:
    """What was there when nothing had moved for `still` cycles. `jobs`: tags of those that run, oldest first; `waits`:
    who waits for whom; `idle`: streams on which nothing is offered; `busy`: units that have work; `memory`: by channel.
    """

    cycle: int
    still: int
    jobs: tuple[int, ...]
    waits: tuple[Wait, ...]
    idle: tuple[str, ...]
    busy: tuple[str, ...]
    memory: tuple[OpenAccesses, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        """Who is waited for and waits for nobody, as far as is seen from outside; without a wait: who has work."""
        waiting = {w.unit for w in self.waits}
        return tuple(dict.fromkeys(w.on for w in self.waits if w.on not in waiting)) or tuple(
            unit for unit in self.busy if unit not in waiting)

    @property
    def summary(self) -> str:
        """One line."""
        which = " and ".join(f"job {tag}" for tag in self.jobs) or "a job is being read"
        verb = "" if not self.jobs else " run" if len(self.jobs) > 1 else " runs"
        parts = [*map(str, self.waits)] or ["no stream is blocked"]
        if self.roots:
            parts.append(f"held up by: {', '.join(self.roots)}")
        return f"cycle {self.cycle}: nothing has moved for {self.still} cycles while {which}{verb}: {'; '.join(parts)}"

    @property
    def table(self) -> str:
        """Several lines: unit by unit, then memory port by port."""
        units = dict.fromkeys([*self.busy, *(w.unit for w in self.waits)])
        lines = []
        for unit in units:
            waits = [f"waits for {w.on}: {w.why}" for w in self.waits if w.unit == unit]
            lines.append(f"{unit}: {'; '.join(waits) or 'has work and waits for nobody seen from outside'}")
        lines.append(f"nothing offered: {', '.join(self.idle)}")
        for m in self.memory:
            reads = str(len(m.reads) or "none")
            if m.reads:
                oldest = max(m.reads, key=lambda read: read[3])
                reads += f" (the oldest, of {oldest[1]:#x}, for {oldest[3]} cycles)"
            lines.append(f"{memory(m.channel)}: reads unanswered: {reads}; writes unanswered: {len(m.writes)}, without "
                         f"all data: {m.no_data}, beats without address: {m.no_address}; offered and not taken: "
                         f"{', '.join(m.offered) or 'nothing'}")
        return "\n".join(lines)


class HangError(UserError, HarnessError):
    """Nothing moves any more in the accelerator. `hang` says what was seen; the message is its summary."""

    def __init__(self, hang: Hang):
        self.hang = hang
        super().__init__(hang.summary)


def open_accesses(channel: int, words: list[int]) -> OpenAccesses:
    """From the words of `Channel::open` of channel.h."""
    ar, aw, w, reads, writes, no_data, no_address = words[:7]
    rest = words[7:]
    of_reads = [rest[4 * n:4 * n + 4] for n in range(reads)]
    offered = tuple(name for name, on in (("AR", ar), ("AW", aw), ("W", w)) if on)
    return OpenAccesses(
        channel, offered, tuple((id_, address, left, age) for id_, address, left, age in of_reads),
        tuple(rest[4 * reads + 1::2][:writes]), no_data, no_address)


def find_waits(config: SpAttenConfig, shown: np.ndarray, ports: tuple[OpenAccesses, ...]) -> tuple[
        tuple[Wait, ...], tuple[str, ...], tuple[str, ...]]:
    """(waits, idle streams, busy units) of one cycle; `shown`: words of `valid`, then of `ready`, of the probe."""
    half = len(shown) // 2

    def bit(words: np.ndarray, n: int) -> bool:
        return bool(int(words[n // WORD]) >> n % WORD & 1)

    table = observed(config)
    valid = {o.name: bit(shown[:half], n) for n, o in enumerate(table)}
    ready = {o.name: bit(shown[half:], n) for n, o in enumerate(table)}
    streams: list[Observed] = [o for o in table if not o.level]
    waits = [Wait(o.source, o.sink, f"it does not take {o.name}") for o in streams
             if valid[o.name] and not ready[o.name]]
    waits += [Wait(unit, on, why) for level, (unit, why, on) in _STARVED.items() if valid[level]]
    waits += _memory_waits(ports, valid)
    idle = tuple(o.name for o in streams if not valid[o.name])
    busy = tuple(unit for level, unit in _BUSY.items() if valid[level])
    assert {*_BUSY, *_STARVED} <= {o.name for o in LEVELS}
    return tuple(waits), idle, busy


def _memory_waits(ports: tuple[OpenAccesses, ...], valid: dict[str, bool]) -> list[Wait]:
    """What the memories owe, ports that owe the same together. (AR and W not taken are streams of the probe.)"""
    found: dict[tuple[str, str], list[str]] = {}
    for p in ports:
        name = memory(p.channel)
        # A beat that is offered and not taken: fetch is to blame.
        if p.reads and not valid[f"r{p.channel}"]:
            found.setdefault(("fetch", "reads are unanswered"), []).append(name)
        for on, why in ((p.writes, "writes are unanswered"), ("AW" in p.offered, "it does not take write addresses")):
            if on:
                found.setdefault(("write", why), []).append(name)
    return [Wait(unit, ", ".join(names), why) for (unit, why), names in found.items()]
