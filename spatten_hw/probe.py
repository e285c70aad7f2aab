"""What a simulation observes: the streams between the blocks of `Accelerator`, collected in one flat port.

Only builds made with `probe=True` have it (`sim/harness` makes them); Verilog for users does not. A stream shows
`valid`, `ready`, where a vector ends, and the few payload bits that say which work item a row belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from amaranth import Cat, Module, Shape, Value
from amaranth.lib import data, stream

from .config import SpAttenConfig
from .control.csr import completion_layout
from .control.job_reader import job_offer
from .interface.registers import COUNTERS
from .softmax.rows import decision_notice, slot_notice
from .stream.layouts import (
    acc_chunk,
    fill_command,
    kept_row,
    key_walk_command,
    out_beat,
    prob_row,
    q_command,
    score_command,
    slot_meta,
    tag_layout,
)
from .units import HOST, MEMORY

#: The port is read as words of this many bits.
WORD = 64

Layout = Callable[[SpAttenConfig], data.StructLayout]
_ITEM = ("tag.head", "tag.kv_head", "tag.query", "tag.stream", "tag.refetched")


@dataclass(frozen=True)
class Observed:
    """One stream, or, with `level`, one state bit (it "fires" in every cycle it is 1 and is never blocked).

    `key`: payload fields that name the work item, a dot between levels, at most `WORD` bits in all; taken from a
    vector's first row. `last`: the payload's `last` ends a vector; without it every transfer is one.
    `interleaved`: vectors with different values of the key's first field may interleave. `counted`: only cycles are
    counted, vectors are not recorded. `source`, `sink`: the units between which it runs.
    """

    name: str
    layout: Layout | None = None
    key: tuple[str, ...] = ()
    last: bool = False
    interleaved: bool = False
    level: bool = False
    counted: bool = False
    source: str = ""
    sink: str = ""

    def fields(self, c: SpAttenConfig) -> dict[str, int]:
        """Width of every key field, from bit 0 on, by the last part of its path."""
        if self.layout is None:
            return {}
        widths = {path.rpartition(".")[2]: _width(c, self.layout(c), path) for path in self.key}
        if sum(widths.values()) > WORD:
            raise ValueError(f"probe: the key of {self.name} has more than {WORD} bits")
        return widths


#: The streams of `Accelerator` without the memory channels, in the order of their bits.
STREAMS: tuple[Observed, ...] = (
    # Jobs taken by the sequencer and finished; operations of the cascade pruner taken and done.
    Observed("jobs", job_offer, ("tag", "error", "job.generate"), source="job reader", sink="sequencer"),
    Observed("completions", lambda _: completion_layout(), ("tag", "error"), source="sequencer", sink=HOST),
    Observed("prune", lambda _: data.StructLayout({"finish": 1}), ("finish",),
             source="sequencer", sink="cascade pruner"),
    Observed("pruned", lambda _: data.StructLayout({"error": 1}), ("error",),
             source="cascade pruner", sink="sequencer"),
    Observed("state", out_beat, last=True, source="cascade pruner", sink="write"),
    # Commands. `meta` gives a slot to a work item, `flat` asks for its LSBs, `free` takes the slot back.
    Observed("meta", slot_meta, ("slot", "tag.head", "tag.kv_head", "tag.query"),
             source="sequencer", sink="softmax"),
    Observed("flat", decision_notice, ("slot", "flat"), source="softmax", sink="sequencer"),
    Observed("free", slot_notice, ("slot",), source="softmax", sink="sequencer"),
    Observed("q_cmd", q_command, ("slot", "head", "token"), source="sequencer", sink="fetch"),
    Observed("k_walk", key_walk_command, ("kv_head", "slot", "members", "lsb"), source="sequencer", sink="fetch"),
    Observed("fill", fill_command, ("kv_head", "rows", "value", "lsb"), source="sequencer", sink="fetch"),
    Observed("score_cmd", score_command, ("slot", "keys"), source="sequencer", sink="score"),
    # Data.
    Observed("probs", prob_row, _ITEM, last=True, source="softmax", sink="top-k"),
    Observed("kept", kept_row, _ITEM, last=True, source="top-k", sink="value"),
    Observed("sums", acc_chunk, _ITEM, last=True, source="value", sink="output"),
    Observed("beats", out_beat, last=True, source="output", sink="write"),
)

#: State bits: a job runs, one is being read or waits, and the events of the performance counters that are one bit and
#: count cycles.
LEVELS: tuple[Observed, ...] = tuple(
    Observed(name, level=True, counted=True)
    for name in ("running", "queued", *(n.name for n in COUNTERS if n.unit == "cycles" and n.name != "cycles")))


def observed(c: SpAttenConfig) -> tuple[Observed, ...]:
    """Everything a build shows, in the order of its bits: streams, memory channels (`ar0`, `r0`, `w0`, …), levels."""
    channels = [Observed(f"{name}{i}", counted=True, source=source or memory(i), sink=sink or memory(i))
                for name, source, sink in (("ar", "fetch", ""), ("r", "", "fetch"), ("w", "write", ""))
                for i in range(c.channels)]
    return (*STREAMS, *channels, *LEVELS)


def memory(channel: int) -> str:
    """Name of a memory port among the units."""
    return f"{MEMORY} {channel}"


def probe_layout(c: SpAttenConfig) -> data.StructLayout:
    """The port: bit n of `valid`, `ready` and `last` is number n of `observed`; `keys` has a `WORD` for each that has
    a key, in the same order. Every part is whole words."""
    table = observed(c)
    flags = -(-len(table) // WORD) * WORD
    keyed = sum(bool(o.key) for o in table)
    return data.StructLayout({"valid": flags, "ready": flags, "last": flags, "keys": data.ArrayLayout(WORD, keyed)})


def connect_probe(m: Module, c: SpAttenConfig, probe: data.View, streams: Mapping[str, stream.Interface],
                  levels: Mapping[str, Value]) -> None:
    """Drives `probe` (`probe_layout`); `streams` and `levels` are exactly those of `observed`, by name."""
    table = observed(c)
    assert {*streams, *levels} == {o.name for o in table}
    word = 0
    for n, o in enumerate(table):
        if o.level:
            m.d.comb += [probe.valid[n].eq(levels[o.name]), probe.ready[n].eq(1), probe.last[n].eq(1)]
            continue
        s = streams[o.name]
        m.d.comb += [
            probe.valid[n].eq(s.valid), probe.ready[n].eq(s.ready),
            probe.last[n].eq(s.payload.last if o.last else 1),
        ]
        if o.key:
            m.d.comb += probe.keys[word].eq(Cat(_value(c, s.payload, path) for path in o.key))
            word += 1


def _inner(c: SpAttenConfig, shape: object) -> data.StructLayout:
    """The layout of a nested field; a top-k engine carries the tag as plain bits."""
    return shape if isinstance(shape, data.StructLayout) else tag_layout(c)


def _width(c: SpAttenConfig, layout: data.StructLayout, path: str) -> int:
    first, _, rest = path.partition(".")
    shape = layout[first].shape
    return _width(c, _inner(c, shape), rest) if rest else Shape.cast(shape).width


def _value(c: SpAttenConfig, payload: data.View, path: str) -> Value:
    first, _, rest = path.partition(".")
    if not rest:
        return Value.cast(payload[first])
    return _value(c, _inner(c, payload.shape()[first].shape)(Value.cast(payload[first])), rest)
