"""What comes over the shared path for Q×K of a slice, and where it is stored."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.products import times_few
from ..primitives.widths import narrow
from ..stream.read_layouts import ReadKind, operand_chunk, shared_note


class KeyFill(wiring.Component):
    """A register behind the shared path, which reaches every slice in a cycle, and the addresses of what is in it.

    shared: always taken. One cycle later: `data`; `query`, `key`, `lsb`: it is a q chunk (for `slot`, chunk `chunk`,
    `last` of its row), a K chunk or its LSBs (for word index·chunks + chunk of half `half`) for slice `number`.
    """

    number: Signal
    chunks: Signal
    shared: stream.Interface
    data: Signal
    query: Signal
    slot: Signal
    chunk: Signal
    last: Signal
    key: Signal
    lsb: Signal
    half: Signal
    word: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "number": In(c.slice_bits),
            "chunks": In(c.chunk_count_bits),
            "shared": In(stream.Signature(operand_chunk(c, shared_note(c)))),
            "data": Out(c.chunk * c.operand_bits),
            "query": Out(1), "slot": Out(c.slot_bits), "chunk": Out(c.chunk_bits), "last": Out(1),
            "key": Out(1), "lsb": Out(1), "half": Out(1), "word": Out(c.sram_word_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        now, valid = self.shared.p, self.shared.valid
        note = now.note
        slot, chunk, last, half, lsb = (
            Signal.like(port, name=f"{name}_stored", reset_less=True)
            for name, port in (("slot", self.slot), ("chunk", self.chunk), ("last", self.last), ("half", self.half),
                               ("lsb", self.lsb)))
        data = Signal(len(self.data), reset_less=True)
        word = Signal(c.sram_word_bits, reset_less=True)
        query = Signal()
        key = Signal()
        mine = (note.slice == self.number) if clog2(c.slices) else 1
        # Rows lie one after the other in their half, so that a prompt reads words 0, 1, 2, …
        row = narrow(note.index, c.sram_word_bits)
        place = times_few(row, self.chunks) + now.chunk
        is_key = note.kind == ReadKind.KEY
        is_lsb = note.kind == ReadKind.KEY_LSB
        m.d.sync += [
            query.eq(valid & (note.kind == ReadKind.QUERY)),
            key.eq(valid & (is_key | is_lsb) & mine),
            lsb.eq(is_lsb), half.eq(note.half), word.eq(narrow(place, c.sram_word_bits)),
            slot.eq(narrow(note.index, c.slot_bits)), chunk.eq(now.chunk), last.eq(now.last),
            data.eq(now.data),
        ]
        m.d.comb += [
            self.shared.ready.eq(1),
            self.data.eq(data), self.query.eq(query), self.slot.eq(slot), self.chunk.eq(chunk), self.last.eq(last),
            self.key.eq(key), self.lsb.eq(lsb), self.half.eq(half), self.word.eq(word),
        ]
        used = valid & ((note.kind == ReadKind.QUERY) | is_key | is_lsb)
        contract(m, (now.chunk < self.chunks) & (now.last == (now.chunk + 1 == self.chunks)),
                 "shared rows have the chunks of the job", when=used)
        contract(m, (note.index < c.sram_words) & (place < c.sram_words), "a K row lies in its half",
                 when=valid & (is_key | is_lsb) & mine)
        contract(m, note.index < c.slots, "a query is for a slot", when=valid & (note.kind == ReadKind.QUERY))
        return m
