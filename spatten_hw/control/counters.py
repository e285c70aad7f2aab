"""64-bit performance counters that share one adder."""

from __future__ import annotations

from amaranth import Array, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..interface.registers import COUNTER_INDEX_BITS, COUNTERS
from ..primitives.registers import local_copy
from ..primitives.ring import next_in_ring

#: Longest time from `request` to `done`, in cycles: one round of the adder and its two stages.
READ_CYCLES = len(COUNTERS) + 2


def events_layout(c: SpAttenConfig) -> data.StructLayout:
    """What happened in a cycle: one field per counter but `cycles` (which counts `busy`), by its name.

    `busy_*`, `stall_*`: 1 bit; `queries`, `refetches`: 1 bit pulses; `topk_vectors`: 0 … 3; `bytes_*`: *beats*
    of the cycle (`bytes_out` 1 bit, the others up to a burst per read port).
    """
    return data.StructLayout({n.name: unsigned(n.width(c)) for n in COUNTERS if n.name != "cycles"})


class PerformanceCounters(wiring.Component):
    """Counts `events` (`events_layout`) and cycles with `busy`, exactly, into one 64-bit total per counter.

    Each counter has a small register. One 64-bit adder serves the counters in turn, one per cycle, and moves the
    register's value into the total in memory. `request` (held) with `index` asks for a total; within `READ_CYCLES`
    `done` pulses with `value`: all events up to three cycles before, for bytes times the beat size. `clear` sets all
    to 0; events of the cycle before are not counted, those of that cycle are.
    """

    events: data.View
    busy: Signal
    clear: Signal
    request: Signal
    index: Signal
    done: Signal
    value: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "events": In(events_layout(config)),
            "busy": In(1),
            "clear": In(1),
            "request": In(1),
            "index": In(COUNTER_INDEX_BITS),
            "done": Out(1),
            "value": Out(64),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        count = len(COUNTERS)
        m.submodules.totals = totals = Memory(shape=unsigned(64), depth=count, init=[])
        write = totals.write_port()
        read = totals.read_port(transparent_for=())

        turn = Signal(range(count))
        m.d.sync += turn.eq(next_in_ring(turn, count))
        events = local_copy(m, self.events, "events_here")
        # Events since the counter's last turn, which was `count` cycles ago.
        recent: list[Value] = []
        for n, counter in enumerate(COUNTERS):
            event: Value = self.busy if counter.name == "cycles" else events[counter.name]
            held = Signal(range(count * ((1 << len(event)) - 1) + 1), name=f"recent_{counter.name}")
            with m.If(self.clear):
                m.d.sync += held.eq(0)
            with m.Elif(turn == n):
                m.d.sync += held.eq(event)
            with m.Else():
                m.d.sync += held.eq(held + event)
            recent.append(held)

        # Stage 1: what is to be added, while the memory reads the total. Stage 2: the sum.
        adding = Signal.like(turn)
        amount = Signal(max(len(r) for r in recent))
        empty = Signal(count, init=(1 << count) - 1)  # the total in memory does not count: it is 0
        adding_empty = Signal()
        old = Signal(64)
        total = Signal(64)
        m.d.comb += [
            read.addr.eq(turn), read.en.eq(1),
            old.eq(Mux(adding_empty, 0, read.data)),
            total.eq((old + amount)[:64]),
            write.addr.eq(adding), write.data.eq(total), write.en.eq(1),
        ]
        started = Signal()  # the first cycle after reset has nothing in stage 2
        m.d.sync += [
            started.eq(1), adding.eq(turn), amount.eq(Array(recent)[turn]),
            adding_empty.eq(empty.bit_select(turn, 1)),
        ]
        with m.If(started):
            m.d.sync += empty.bit_select(adding, 1).eq(0)
        with m.Else():
            m.d.comb += write.en.eq(0)
        with m.If(self.clear):
            m.d.sync += [empty.eq((1 << count) - 1), adding_empty.eq(1), amount.eq(0)]

        is_bytes = Const(sum(1 << n for n, k in enumerate(COUNTERS) if k.unit == "bytes"), count)
        hit = Signal()
        m.d.comb += hit.eq(started & self.request & (adding == self.index) & ~self.done)
        m.d.sync += self.done.eq(hit)
        with m.If(hit):
            scaled = (total << clog2(c.beat_bytes))[:64]
            m.d.sync += self.value.eq(Mux(is_bytes.bit_select(adding, 1), scaled, total))
        contract(m, self.index < count, "a counter that exists is asked for", when=self.request)
        return m
