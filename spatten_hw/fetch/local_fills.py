"""Fills of the SRAMs with rows that are in the slices' own channels already: all tokens of a prompt survive."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.adder_tree import balanced_sum
from ..stream.read_layouts import ReadKind, operand_chunk, shared_note
from .fill_walk import filled_layout


def fill_begin(c: SpAttenConfig) -> data.StructLayout:
    """A fill of `rows` rows into half `half` begins, if `valid`."""
    return data.StructLayout({"valid": 1, "half": 1, "lsb": 1, "rows": unsigned(c.count_bits)})


class LocalFills(wiring.Component):
    """Of one class of rows, K or V (`value`): tells those that fill the SRAM from those that stream.

    `feed`: chunks of the class from every slice's feed; with `note.fill` they go to the SRAM of their slice over
    `fills`, like those of the shared path (`shared`, to all slices; it goes first), else to `rows`. A fill that has
    `opens` is `filled` when its last row has left some cycles ago; one per half at a time: none opens while the half is
    `pending`. No latency; `fills` is always taken.
    """

    feed: list[stream.Interface]
    shared: stream.Interface
    rows: list[stream.Interface]
    fills: list[stream.Interface]
    opens: data.View
    pending: Signal
    filled: stream.Interface

    def __init__(self, config: SpAttenConfig, note: data.StructLayout, value: bool):
        self.config = c = config
        self.value = value
        chunks = stream.Signature(operand_chunk(c, note))
        shared = stream.Signature(operand_chunk(c, shared_note(c)))
        super().__init__({
            "feed": In(chunks).array(c.slices), "shared": In(shared), "rows": Out(chunks).array(c.slices),
            "fills": Out(shared).array(c.slices), "opens": In(fill_begin(c)), "pending": Out(2),
            "filled": Out(stream.Signature(filled_layout())),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        msb, lsb = (ReadKind.VALUE, ReadKind.VALUE_LSB) if self.value else (ReadKind.KEY, ReadKind.KEY_LSB)
        ended = [Signal(c.slices, name=f"ended_{h}") for h in range(2)]     # rows whose last chunk left a cycle ago
        m.d.comb += self.shared.ready.eq(1)
        for s, (feed, rows, fills) in enumerate(zip(self.feed, self.rows, self.fills, strict=True)):
            p = feed.payload
            own = Signal(operand_chunk(c, shared_note(c)), name=f"own_{s}")
            takes = Signal(name=f"takes_{s}")
            m.d.comb += [
                rows.payload.eq(p), rows.valid.eq(feed.valid & ~p.note.fill),
                feed.ready.eq(Mux(p.note.fill, ~self.shared.valid, rows.ready)),
                own.data.eq(p.data), own.chunk.eq(p.chunk), own.last.eq(p.last), own.error.eq(p.error),
                own.note.kind.eq(Mux(p.note.lsb, lsb, msb)), own.note.half.eq(p.note.half), own.note.slice.eq(s),
                own.note.index.eq(p.note.row),
                takes.eq(feed.valid & p.note.fill & ~self.shared.valid),
                fills.valid.eq(self.shared.valid | takes),
                fills.payload.eq(Mux(self.shared.valid, self.shared.payload.as_value(), own.as_value())),
            ]
            m.d.sync += [ended[h][s].eq(takes & p.last & (p.note.half == h)) for h in range(2)]
            always_taken(m, fills, f"fills of slice {s}")
        self._count(m, ended)
        return m

    def _count(self, m: Module, ended: list[Signal]) -> None:
        """Per half: rows still to come, and the report when none is left."""
        c = self.config
        done = Signal(2)
        lsbs = Signal(2)
        number = ~done[0]
        m.d.comb += [
            self.filled.valid.eq(done.any()), self.filled.payload.value.eq(int(self.value)),
            self.filled.payload.half.eq(number), self.filled.payload.lsb.eq(lsbs.bit_select(number, 1)),
        ]
        for h in range(2):
            pending = self.pending[h]
            left = Signal(c.count_bits, name=f"left_{h}", reset_less=True)
            came = Signal(range(c.slices + 1), name=f"came_{h}")
            begins = self.opens.valid & (self.opens.half == h)
            reported = self.filled.ready & done[h] & (number == h)
            m.d.sync += came.eq(balanced_sum(list(ended[h])))
            with m.If(begins):
                m.d.sync += [pending.eq(1), left.eq(self.opens.rows), lsbs[h].eq(self.opens.lsb)]
            with m.Else():
                m.d.sync += left.eq(left - came)
                with m.If(reported):
                    m.d.sync += pending.eq(0)
            m.d.comb += done[h].eq(pending & (left == 0))
            contract(m, ~pending, f"half {h} is filled once at a time", when=begins)
            contract(m, pending & (came <= left), f"a row that came was asked for: half {h}", when=came != 0)
