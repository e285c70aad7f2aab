"""What the registers show of the units: the events that the counters count, and who has work (ACTIVITY)."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import Cat, Const, Module, Mux, Signal, Value

from ..interface.activity import (
    ACCESS,
    ACTIVE_UNITS,
    BACK,
    FRONT,
    ITEM_BITS,
    ITEMS,
    READS,
    WRITES,
    BackState,
    FrontState,
)
from ..shared import Shared
from ..units import ACTIVE, UNITS


def connect_events(m: Module, units: Mapping[str, Shared], write_idle: Signal) -> None:
    """The events of the counters, a cycle late, so that paths to the counters do not extend those of the blocks."""
    e = units["registers"].events
    seq, fetcher, writer, kept = units["sequencer"], units["fetcher"], units["writer"], units["local_topk"].kept
    kept_last = Signal()
    m.d.comb += kept_last.eq(kept.valid & kept.ready & kept.payload.last)
    # Reads count only while a job runs, as descriptors are read ahead; writes count from where they are produced.
    busy = {"fetch": fetcher.busy & seq.busy, "write": ~write_idle}
    for unit in UNITS:
        if unit.busy:
            source = busy[unit.event] if unit.event in busy else units[unit.name].busy
            m.d.sync += e[f"busy_{unit.event}"].eq(source)
        if unit.stall:
            m.d.sync += e[f"stall_{unit.event}"].eq(units[unit.name].stall)
    m.d.sync += [
        e.bytes_q.eq(fetcher.beats_q), e.bytes_k_msb.eq(fetcher.beats_k_msb),
        e.bytes_k_lsb.eq(fetcher.beats_k_lsb), e.bytes_v_msb.eq(fetcher.beats_v_msb),
        e.bytes_v_lsb.eq(fetcher.beats_v_lsb), e.bytes_out.eq(writer.beats_out),
        e.bytes_other.eq(fetcher.beats_other + writer.beats_state),
        e.queries.eq(seq.issued), e.refetches.eq(seq.replayed), e.topk_vectors.eq(kept_last),
    ]


def connect_activity(m: Module, units: Mapping[str, Shared]) -> None:
    """The units that have work, unanswered memory accesses, and the oldest job, for the limit of its cycles."""
    registers, seq, fetcher, writer = (units[n] for n in ("registers", "sequencer", "fetcher", "writer"))
    reader, e = units["job_reader"], registers.events
    # The events of the counters; but fetcher and job reader also show reads for jobs that do not run yet.
    active = Cat(units[unit.name].busy if unit.name in ("fetcher", "job_reader") else e[f"busy_{unit.event}"]
                 for unit in ACTIVE)
    in_front = seq.front_state != FrontState.IDLE
    in_back = seq.back_state != BackState.IDLE
    m.d.sync += [
        registers.activity.eq(_activity_word(active, fetcher.waits, writer.waits, seq.front_state, seq.back_state,
                                             seq.items)),
        registers.tags.eq(Cat(seq.front_tag, seq.back_tag)),
        registers.working.eq(seq.busy | reader.busy),
        registers.oldest.eq(Mux(in_back, seq.back_tag, Mux(in_front, seq.front_tag, reader.tag))),
    ]


def _activity_word(units: Value, reads: Value, writes: Value, front: Value, back: Value, items: Value) -> Value:
    """ACTIVITY from its parts, each in the order of its table."""
    assert (len(units), len(reads), len(writes), len(items)) == (len(ACTIVE_UNITS), len(READS), len(WRITES), len(ITEMS))
    gap = Const(0, FRONT - ACCESS - len(READS) - len(WRITES))
    return Cat(units, reads, writes, gap, front, Const(0, BACK - FRONT - len(front)), back,
               Const(0, ITEM_BITS - BACK - len(back)), items)
