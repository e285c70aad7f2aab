"""Which product of Prob×V a slice does next, and which V rows it asks memory for."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.one_hot import lowest_set, one_hot_index, without_lowest
from ..primitives.products import times_few
from ..primitives.widths import narrow, wrap
from ..stream.layouts import value_entry
from ..stream.read_layouts import operand_chunk, value_note
from .value_layouts import sum_word, word_bits
from .value_reads import value_read


def product_op(c: SpAttenConfig) -> data.StructLayout:
    """A chunk product: probability `row` of `item` times a chunk, into word `word` of `sum`. `stored`: the chunk is
    word `address` of half `half` of the SRAM. `half_step`: V without its LSBs. `ends`: last product of a row of the
    gang whose first sum is `first_sum`."""
    return data.StructLayout({
        "valid": 1, "item": unsigned(c.item_bits), "row": unsigned(c.row_bits), "sum": unsigned(c.sum_bits),
        "word": unsigned(word_bits(c)), "stored": 1, "half": 1, "address": unsigned(c.sram_word_bits), "half_step": 1,
        "ends": 1, "first_sum": unsigned(c.sum_bits),
    })


class ValueIssue(wiring.Component):
    """One product per cycle; one request per cycle. `op` and `streamed` (the chunk of a row from memory) are registers.

    entries: in order; one whose rows come from memory is done when its requests (`reads`; the LSB plane's follows the
        MSB plane's) are taken, another one when its products are issued. v_chunks: see `ValueSlice`; first.
    pause: no product is issued in this cycle.
    opens, last, opens_sum: pulses of `OpenRows`. any: a product is issued. busy: an entry or a product is inside.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "chunks": In(c.chunk_count_bits), "has_lsb": In(1),
            "entries": In(stream.Signature(value_entry(c))),
            "v_chunks": In(stream.Signature(operand_chunk(c, value_note(c)))),
            "reads": Out(stream.Signature(value_read(c))),
            "pause": In(1), "op": Out(product_op(c)), "streamed": Out(c.chunk * c.operand_bits),
            "opens": Out(1), "last": Out(1), "opens_sum": Out(c.sum_bits), "any": Out(1), "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        # The entry that is worked on.
        valid = Signal()
        done = Signal()
        entry = Signal(value_entry(c), reset_less=True)
        first_word = Signal(c.row_bits + c.chunk_count_bits, reset_less=True)
        nothing = Signal(reset_less=True)
        both_planes = Signal(reset_less=True)
        following = self.entries.p
        m.d.comb += self.entries.ready.eq(~valid | done)
        with m.If(self.entries.ready):
            m.d.sync += [
                valid.eq(self.entries.valid), entry.eq(following),
                first_word.eq(times_few(following.row, self.chunks)),
                nothing.eq(following.members == 0),
                both_planes.eq(self.has_lsb & (following.members & following.refetched).any()),
            ]

        # Rows from memory: one request, or two.
        lsb = Signal()
        asks = Signal()
        asked = Signal()
        m.d.comb += [
            asks.eq(valid & entry.stream & ~nothing),
            self.reads.valid.eq(asks), self.reads.p.entry.eq(entry), self.reads.p.lsb.eq(lsb),
            asked.eq(asks & self.reads.ready),
        ]
        with m.If(asked):
            m.d.sync += lsb.eq(both_planes & ~lsb)

        # The product: of a row from memory, else of one in the SRAM. `left`: members that are still to come (0: all).
        note = self.v_chunks.p.note
        chunk = Signal(c.chunk_bits)
        left = {name: Signal(c.max_group, name=f"left_{name}") for name in ("streamed", "stored")}
        multiplies = valid & ~entry.stream & ~nothing & ~self.v_chunks.valid & ~self.pause
        streamed = self.v_chunks.valid & ~self.pause
        members, base_item, base_sum, row, refetched, here = (
            Signal(shape, name=name) for name, shape in (
                ("members", c.max_group), ("base_item", c.item_bits), ("base_sum", c.sum_bits), ("row", c.row_bits),
                ("refetched", c.max_group), ("here", c.chunk_bits)))
        m.d.comb += [
            members.eq(Mux(streamed, _rest(left["streamed"], note.members), _rest(left["stored"], entry.members))),
            base_item.eq(Mux(streamed, note.item, entry.item)), base_sum.eq(Mux(streamed, note.sum, entry.sum)),
            row.eq(Mux(streamed, note.row, entry.row)), refetched.eq(Mux(streamed, note.refetched, entry.refetched)),
            here.eq(Mux(streamed, self.v_chunks.p.chunk, chunk)),
        ]
        chosen, rest = lowest_set(members), without_lowest(members)
        final_chunk = Signal()
        final = Signal(name="final_member")
        m.d.comb += [
            final.eq(rest == 0), final_chunk.eq(narrow(chunk, c.chunk_count_bits) == self.chunks - 1),
            # Of its own members, not of those chosen: it waits for nothing else.
            self.v_chunks.ready.eq((without_lowest(_rest(left["streamed"], note.members)) == 0) & ~self.pause),
            done.eq(nothing | (asked & (lsb | ~both_planes)) | (multiplies & final & final_chunk)),
        ]
        with m.If(streamed):
            m.d.sync += left["streamed"].eq(rest)
        with m.Elif(multiplies):
            m.d.sync += left["stored"].eq(rest)
            with m.If(final):
                m.d.sync += chunk.eq(Mux(final_chunk, 0, chunk + 1))

        op = Signal(product_op(c), reset_less=True)
        data_register = Signal.like(self.streamed, reset_less=True)
        op_valid = Signal()
        cycle = Signal(2)
        member = narrow(one_hot_index(chosen), max(c.item_bits, c.sum_bits))
        m.d.sync += [
            cycle.eq(cycle + 1), op_valid.eq(self.any), data_register.eq(self.v_chunks.p.data),
            op.item.eq(wrap(base_item + member, c.item_bits)), op.sum.eq(wrap(base_sum + member, c.sum_bits)),
            op.row.eq(row), op.word.eq(sum_word(c, self.chunks, here, cycle)), op.stored.eq(~streamed),
            op.half.eq(entry.half), op.address.eq(narrow(first_word + chunk, c.sram_word_bits)),
            op.half_step.eq(self.has_lsb & ~(streamed & note.lsb) & ~(refetched & chosen).any()),
            op.ends.eq(final & Mux(streamed, self.v_chunks.p.last, final_chunk)), op.first_sum.eq(base_sum),
        ]
        m.d.comb += [
            self.any.eq(streamed | multiplies),
            self.op.eq(op), self.op.valid.eq(op_valid), self.streamed.eq(data_register),
            self.opens.eq(asked | (multiplies & (chunk == 0) & (left["stored"] == 0))),
            self.opens_sum.eq(entry.sum), self.last.eq(valid & done & entry.last),
            self.busy.eq(valid | op_valid),
        ]
        contract(m, note.members.any(), "a V row is for a member", when=self.v_chunks.valid)
        contract(m, (self.chunks != 0) & (self.chunks <= c.max_chunks), "a row has 1 chunk or more", when=self.any)
        contract(m, entry.members.any() | entry.last, "an entry has work or is the last one", when=valid)
        contract(m, first_word + chunk < c.sram_words, "a V row lies in its half", when=multiplies)
        return m


def _rest(left: Signal, members: Signal):
    """The members that are still to come: those left of a chunk that is begun, else all."""
    return Mux(left == 0, members, left)
