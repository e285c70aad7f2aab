"""Token importance: every final probability is added to the total, or the layer's sum, of its token (paper III-B)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..contract import contract
from ..primitives.widths import narrow
from ..stream.layouts import prob_row
from .rows import class_bits

#: Cycles from a row on `probs` until it is a request to the totals.
FEED_CYCLES = 2


class TokenImportance(wiring.Component):
    """Turns rows of probabilities into accesses of `TokenTotals`, one row per cycle, always ready.

    Slice s of K/V head h holds class (s − h) mod S, of tokens or of positions, so lanes are rotated by the head.
    Generation (`tag.stream`): row r of a class is its r-th survivor, whose index comes from the class lists:
    `list_row`, a cycle later `valid` and the rest beside the list's entries. They go straight into the totals. Prompt:
    class and row are the position, of which the sums of the layer are kept (`sums`); indexes are the row itself.

    Rows of sums need no clearing: every vector starts at row 0, so the rows of a layer are a prefix, which `used`
    counts. A row at or past `used` counts as 0 (`fresh`). `clear` sets `used` to 0, which hides the sums of an earlier
    layer, even of one that was longer. `idle`: no row is inside.
    """

    probs: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "probs": In(stream.Signature(prob_row(c))), "idle": Out(1), "clear": In(1),
            "used": Out(range(c.max_rows + 1)), "list_row": Out(c.row_bits),
            "valid": Out(1), "sums": Out(1), "row": Out(c.row_bits), "write": Out(c.slices), "fresh": Out(1),
            "last": Out(1),
            "lanes": Out(data.ArrayLayout(unsigned(PROB_BITS), c.slices)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, p = self.config, self.probs.p
        row = Signal(range(c.max_rows + 1))
        first_valid = Signal()
        first_fresh = Signal(reset_less=True)
        first = Signal(prob_row(c), reset_less=True)
        first_row = Signal(c.row_bits, reset_less=True)
        m.d.comb += [self.probs.ready.eq(1), self.idle.eq(~(first_valid | self.valid)), self.list_row.eq(first_row)]
        m.d.sync += [first_valid.eq(self.probs.valid), first.eq(p), first_row.eq(narrow(row, c.row_bits)),
                     first_fresh.eq(row >= self.used)]
        with m.If(self.probs.valid):
            m.d.sync += row.eq(Mux(p.last, 0, row + 1))
            with m.If(~p.tag.stream & (row >= self.used)):
                m.d.sync += self.used.eq(row + 1)
        with m.If(self.clear):
            m.d.sync += [self.used.eq(0), row.eq(0)]

        # Nothing is added while no row comes: others use the same adders.
        live = first.live & first_valid.replicate(c.slices)
        lanes = [Cat(first.probs[s] & live[s].replicate(PROB_BITS), live[s]) for s in range(c.slices)]
        for bit in range(class_bits(c)):
            turn = first.tag.kv_head[bit] if bit < len(first.tag.kv_head) else 0
            turned = []
            for b in range(c.slices):
                lane = Signal(PROB_BITS + 1, name=f"turned_{bit}_{b}")
                m.d.comb += lane.eq(Mux(turn, lanes[(b + (1 << bit)) % c.slices], lanes[b]))
                turned.append(lane)
            lanes = turned
        m.d.sync += [self.valid.eq(first_valid), self.sums.eq(~first.tag.stream), self.row.eq(first_row),
                     self.last.eq(first.last),
                     self.fresh.eq(first_fresh & ~first.tag.stream),
                     *[self.lanes[b].eq(lane[:PROB_BITS]) for b, lane in enumerate(lanes)],
                     # Sums are written whole, so that also dead lanes of a fresh row begin at 0.
                     self.write.eq(Cat(lane[PROB_BITS] | ~first.tag.stream for lane in lanes))]
        contract(m, row < c.max_rows, "no vector is longer than the memory", when=self.probs.valid)
        return m
