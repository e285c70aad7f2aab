"""Running maximum of every slot's scores."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.compare_tree import max_tree
from ..primitives.pipeline import delay
from ..primitives.tree import tree_stages
from .rows import ready_vector


def masked_scores(c: SpAttenConfig) -> data.StructLayout:
    """L scores of the vector in `slot`; those without `live` are ignored."""
    return data.StructLayout({
        "scores": data.ArrayLayout(signed(c.score_bits), c.lanes), "live": unsigned(c.lanes),
        "slot": unsigned(c.slot_bits), "first": 1, "last": 1, "replay": 1,
    })


class RunningMax(wiring.Component):
    """Largest live score of each vector, rows of different slots in any interleaving, one row per cycle.

    `first` starts a slot afresh; `o` is valid for one cycle, `latency` cycles after a row with `last`. A comparator
    tree over the lanes (two levels per stage), then one register per slot. No back-pressure. `active`: rows inside.
    """

    i: stream.Interface
    o: stream.Interface
    active: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        #: Dead lanes masked, the tree, the slot's maximum fetched, compared.
        self.tree = 1 + tree_stages(config.lanes)
        self.latency = self.tree + 2
        super().__init__({
            "i": In(stream.Signature(masked_scores(config))),
            "o": Out(stream.Signature(ready_vector(config))),
            "active": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        row = self.i.p
        least = -(1 << (c.score_bits - 1))
        scores: list[Value] = []
        for lane in range(c.lanes):
            masked = Signal(signed(c.score_bits), name=f"masked_{lane}", reset_less=True)
            m.d.sync += masked.eq(Mux(row.live[lane], row.scores[lane], least))
            scores.append(masked)
        row_max = max_tree(m, scores, "row_max")

        # One stage reads the slot's maximum, the next compares; the result is forwarded to a row of the same slot
        # one cycle behind.
        tree = self.tree
        under_way = Signal(self.latency)
        m.d.sync += under_way.eq(Cat(self.i.valid, under_way[:-1]))
        valid_later = under_way[tree]
        slot = delay(m, row.slot, tree, "slot")
        first = delay(m, row.first, tree, "first")
        maxima = [Signal(signed(c.score_bits), name=f"maximum_{n}", reset_less=True) for n in range(c.slots)]
        slot_later = delay(m, slot, 1, "slot_later")
        row_later = delay(m, row_max, 1, "row_later")
        so_far = Signal(signed(c.score_bits), reset_less=True)
        updated = Signal(signed(c.score_bits))
        same_slot = Signal()
        m.d.comb += [
            updated.eq(Mux(so_far > row_later, so_far, row_later)),
            same_slot.eq(valid_later & (slot == slot_later)),
        ]
        m.d.sync += so_far.eq(Mux(first, least, Mux(same_slot, updated, Array(maxima)[slot])))
        with m.If(valid_later):
            m.d.sync += Array(maxima)[slot_later].eq(updated)

        m.d.comb += [
            self.i.ready.eq(1),
            self.o.valid.eq(under_way[tree + 1] & delay(m, row.last, self.latency, "last")),
            self.o.p.slot.eq(delay(m, slot_later, 1, "done_slot")),
            self.o.p.top.eq(delay(m, updated, 1, "done_top")),
            self.o.p.replay.eq(delay(m, row.replay, self.latency, "replay")),
            self.active.eq(under_way.any()),
        ]
        contract(m, row.live.any(), "every row has a live score", when=self.i.valid)
        contract(m, row.slot < c.slots, "slots are in range", when=self.i.valid)
        return m
