"""The scores of one slice: stores them, adds LSB passes to them, counts them and keeps their running maxima."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.pipeline import delay
from ..primitives.registers import NO_COLLISIONS
from ..primitives.widths import narrow
from ..stream.layouts import score_write


def progress(c: SpAttenConfig) -> data.StructLayout:
    """Scores of a pass so far: how many, and the largest."""
    return data.StructLayout({"count": unsigned(c.max_rows.bit_length()), "top": signed(c.score_bits)})


class SliceScores(wiring.Component):
    """`max_rows` scores of each of `slots` vectors: what one slice has of them.

    `i`: always accepted, one score per cycle, any slots and rows in any order, each row once per pass; a `replay` score
    is added to what is stored there. `keys` of `keys_slot` are the scores awaited in every pass of that slot, given
    while `keys_valid`, at the latest a cycle before its first score. `finished`: the last score of a pass of
    `finished_slot` is stored, `LATENCY` cycles after it came; from then on, until the slot is given again, `read_row` →
    `read_score` one cycle later, and `top` shows at once the maximum of `top_slot`. `active`: scores under way. With
    `chunk_queries` the maximum is of the first `seen` scores alone, the least number if there are none.
    """

    #: Score registered, stored one read, added; progress read, written; finished.
    LATENCY = 5
    #: Of these, up to the sum.
    STORE = 3

    i: stream.Interface
    keys_valid: Signal
    keys_slot: Signal
    keys: Signal
    seen: Signal
    finished: Signal
    finished_slot: Signal
    read_row: Signal
    read_score: Signal
    top_slot: Signal
    top: Signal
    active: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(score_write(c))),
            "keys_valid": In(1), "keys_slot": In(c.slot_bits), "keys": In(c.max_rows.bit_length()),
            **({"seen": In(c.max_rows.bit_length())} if c.chunk_queries else {}),
            "finished": Out(1), "finished_slot": Out(c.slot_bits),
            "read_row": In(c.slot_bits + c.row_bits), "read_score": Out(signed(c.score_bits)),
            "top_slot": In(c.slot_bits), "top": Out(signed(c.score_bits)),
            "active": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        under_way = Signal(self.LATENCY)
        m.d.sync += under_way.eq(Cat(self.i.valid, under_way[:-1]))
        m.d.comb += [self.i.ready.eq(1), self.active.eq(under_way.any())]

        # Stored: a row is read and written once per pass, so adding has no hazard, and scores may follow each other in
        # any way. The sum is exact: (msb·2^4 + lsb)·q is a full product again, which score_bits hold.
        score = delay(m, self.i.payload, 1, "score")
        address = Cat(score.row, score.slot)
        arriving = delay(m, score, 1, "arriving")
        stored = Signal(signed(c.score_bits))
        summed = Signal(signed(c.score_bits), reset_less=True)
        m.d.sync += summed.eq(narrow(Mux(arriving.replay, stored, 0) + arriving.score, c.score_bits).as_signed())
        slot = delay(m, arriving.slot, 1, "summed_slot")
        write_address = delay(m, address, 2, "write_address")
        # Two readers: the addition and pass 2.
        for name, where, read in (("add", address, stored), ("read", self.read_row, self.read_score)):
            memory = Memory(shape=signed(c.score_bits), depth=c.slots << c.row_bits, init=[], attrs=NO_COLLISIONS)
            m.submodules[f"{name}_scores"] = memory
            write, port = memory.write_port(), memory.read_port(transparent_for=())
            m.d.comb += [
                write.addr.eq(write_address), write.data.eq(summed), write.en.eq(under_way[self.STORE - 1]),
                port.addr.eq(where), port.en.eq(1), read.eq(port.data),
            ]

        self._follow(m, under_way, slot, delay(m, arriving.row, 1, "summed_row") if c.chunk_queries else None, summed)
        contract(m, (self.i.p.slot < c.slots) & (self.i.p.row < c.max_rows), "slots and rows are in range",
                 when=self.i.valid)
        return m

    def _counted(self, m: Module, slot: Signal, row: Signal, summed: Signal) -> Value:
        """What a score counts for the maximum: nothing, if its query does not see its key."""
        c = self.config
        m.submodules.seen_keys = seen = Memory(shape=unsigned(len(self.seen)), depth=c.slots, init=[])
        write, read = seen.write_port(), seen.read_port(domain="comb")
        m.d.comb += [write.addr.eq(self.keys_slot), write.data.eq(self.seen), write.en.eq(self.keys_valid),
                     read.addr.eq(slot)]
        counted = Signal(signed(c.score_bits))
        m.d.comb += counted.eq(Mux(row < read.data, summed, -(1 << (c.score_bits - 1))))
        return counted

    def _follow(self, m: Module, under_way: Signal, slot: Signal, row: Signal | None, summed: Signal) -> None:
        """Progress of every slot, in small memories: one stage reads it, the next one writes it back; a score of the
        same slot one cycle behind gets it forwarded."""
        c, layout = self.config, progress(self.config)
        m.submodules.progresses = progresses = Memory(shape=layout, depth=c.slots, init=[])
        m.submodules.tops = tops = Memory(shape=signed(c.score_bits), depth=c.slots, init=[])
        m.submodules.awaited = awaited = Memory(shape=unsigned(len(self.keys)), depth=c.slots, init=[])
        before_port = progresses.read_port(domain="comb")
        awaited_port = awaited.read_port(domain="comb")
        top_port = tops.read_port(domain="comb")
        awaited_write = awaited.write_port()
        fresh = Array([Signal(name=f"fresh_{n}", init=1) for n in range(c.slots)])

        writes = under_way[self.STORE]
        score = delay(m, summed if row is None else self._counted(m, slot, row, summed), 1, "followed")
        slot_later = delay(m, slot, 1, "followed_slot")
        before = Signal(layout, name="before_this", reset_less=True)
        wanted = Signal(len(self.keys), reset_less=True)
        opens = Signal(reset_less=True)
        updated = Signal(layout)
        last = Signal()
        same = Signal()
        m.d.comb += [
            before_port.addr.eq(slot), awaited_port.addr.eq(slot), same.eq(writes & (slot == slot_later)),
            updated.count.eq(narrow(Mux(opens, 0, before.count) + 1, len(updated.count))),
            updated.top.eq(Mux(opens | (score > before.top), score, before.top)),
            last.eq(updated.count == wanted),
            awaited_write.addr.eq(self.keys_slot), awaited_write.data.eq(self.keys),
            awaited_write.en.eq(self.keys_valid),
        ]
        m.d.sync += [
            before.eq(Mux(same, updated.as_value(), before_port.data.as_value())),
            opens.eq(Mux(same, last, fresh[slot])), wanted.eq(awaited_port.data),
            self.finished.eq(writes & last), self.finished_slot.eq(slot_later),
        ]
        with m.If(writes):
            m.d.sync += fresh[slot_later].eq(last)
        for memory, value in ((progresses, updated), (tops, updated.top)):
            write = memory.write_port()
            m.d.comb += [write.addr.eq(slot_later), write.data.eq(value), write.en.eq(writes)]
        m.d.comb += [top_port.addr.eq(self.top_slot), self.top.eq(top_port.data)]
        contract(m, updated.count <= wanted, "no more scores come than are awaited", when=writes)
