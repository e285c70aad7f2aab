"""Fills the K and V SRAM halves head by head, ahead of the walker (summarisation)."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.one_hot import lowest_index, without_lowest
from ..stream.layouts import fill_command


def filled_notice() -> data.StructLayout:
    """A fill has ended: its last row is in the SRAM."""
    return data.StructLayout({"value": 1, "half": 1, "lsb": 1})


class Loader(wiring.Component):
    """Issues `fill` commands: K, then V of every alive head, halves alternating, as halves come free.

    `start` takes `heads` (bitmap), `rows` (alive tokens) and `dense` (all of them are). `filled` ends a fill;
    `ready[h]` is high from the end of K's until `done[h]` (all items that use the half are issued), `values[h]` from
    the end of V's until `retire[h]` (the items have also left the array), when half h is filled again. `lsb_wanted` (a
    pulse) asks for the LSBs of the head in half `lsb_half`: K's, and V's if it has some (`v_lsb`), with priority;
    `lsb_ready` is low until both are there. A command leaves every other cycle at most.
    """

    fill: stream.Interface
    filled: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "heads": In(c.max_heads), "rows": In(c.count_bits),
            "fill": Out(stream.Signature(fill_command(c))), "filled": In(stream.Signature(filled_notice())),
            "ready": Out(2), "values": Out(2), "done": In(2), "retire": In(2),
            "dense": In(1), "lsb_wanted": In(1), "lsb_half": In(1), "v_lsb": In(1), "lsb_ready": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        left = Signal(c.max_heads)
        half = Signal()
        used = Signal(2)                # being filled, or full
        pending = Signal()              # the command register holds a command not taken yet
        heads = Array([Signal(c.head_bits, name=f"head_{h}") for h in range(2)])
        value_next = Signal()           # the next command is V's of the head whose K was asked for last
        lsbs = Signal(2)                # LSB fills to be asked for: K's, V's
        owed = Signal(range(3))         # LSB fills that have not ended
        lsb_half = Signal()
        head = lowest_index(m, left, "head")
        p = Signal(fill_command(c), reset_less=True)
        end = self.filled.payload
        m.d.comb += [
            self.fill.valid.eq(pending), self.fill.payload.eq(p), self.filled.ready.eq(1),
            self.lsb_ready.eq((lsbs == 0) & (owed == 0)),
        ]
        with m.If(self.fill.ready):
            m.d.sync += pending.eq(0)
        with m.If(~pending):
            m.d.sync += p.dense.eq(self.dense)
            with m.If(lsbs != 0):
                m.d.sync += [
                    pending.eq(1), p.kv_head.eq(heads[lsb_half]), p.rows.eq(self.rows), p.half.eq(lsb_half),
                    p.lsb.eq(1), p.value.eq(~lsbs[0]), lsbs.eq(without_lowest(lsbs)),
                ]
            with m.Elif(value_next):
                m.d.sync += [pending.eq(1), p.value.eq(1), p.lsb.eq(0), p.kv_head.eq(heads[half]), p.half.eq(half),
                             value_next.eq(0), half.eq(~half)]
            with m.Elif((left != 0) & ~used.bit_select(half, 1)):
                m.d.sync += [
                    pending.eq(1), p.value.eq(0), p.lsb.eq(0), p.kv_head.eq(head), p.rows.eq(self.rows),
                    p.half.eq(half), heads[half].eq(head), value_next.eq(1), left.eq(without_lowest(left)),
                    used.bit_select(half, 1).eq(1),
                ]
        with m.If(self.lsb_wanted):
            m.d.sync += [lsbs.eq(Cat(1, self.v_lsb)), lsb_half.eq(self.lsb_half)]
        lsb_asked = (~pending) & (lsbs != 0)
        lsb_ended = self.filled.valid & end.lsb
        m.d.sync += owed.eq(owed + lsb_asked - lsb_ended)
        for h in range(2):
            here = self.filled.valid & (end.half == h) & ~end.lsb
            with m.If(here & ~end.value):
                m.d.sync += self.ready[h].eq(1)
            with m.If(here & end.value):
                m.d.sync += self.values[h].eq(1)
            with m.If(self.done[h]):
                m.d.sync += self.ready[h].eq(0)
            with m.If(self.retire[h]):
                m.d.sync += [used[h].eq(0), self.values[h].eq(0)]
        with m.If(self.start):
            m.d.sync += [left.eq(self.heads), half.eq(0)]
        contract(m, used.bit_select(end.half, 1), "only a half in use is filled", when=self.filled.valid)
        contract(m, (self.done & ~self.ready) == 0, "only a full half is done with")
        contract(m, (self.retire & ~(used & self.values)) == 0, "only a used half is retired")
        contract(m, (left == 0) & ~pending & ~value_next, "a job starts when the fills of the one before are out",
                 when=self.start)
        contract(m, self.lsb_ready, "LSBs of one head at a time are asked for", when=self.lsb_wanted)
        contract(m, (owed != 0) | lsb_asked, "only LSB fills that were asked for end", when=lsb_ended)
        return m
