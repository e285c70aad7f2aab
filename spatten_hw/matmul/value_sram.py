"""V SRAM of a slice: two halves of V rows, the LSB planes in a memory of their own."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, SpAttenConfig
from ..contract import contract
from ..primitives.products import times_few
from ..primitives.registers import NO_COLLISIONS
from ..primitives.widths import narrow
from ..stream.read_layouts import ReadKind, operand_chunk, shared_note


class ValueSram(wiring.Component):
    """2 × `sram_words` words of N operands. Word row·chunks + chunk of a half is a chunk of a row.

    shared: chunks of V rows, always taken; only those of slice `number` are stored. VALUE writes a word, VALUE_LSB the
        low 4 bits of its elements. It may be read from the third cycle on.
    read, half, word: `data` follows one cycle later and stays until the next read.
    One chunk in and one out per cycle; the user does not read words that are being filled.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "number": In(c.slice_bits),
            "chunks": In(c.chunk_count_bits),
            "shared": In(stream.Signature(operand_chunk(c, shared_note(c)))),
            "read": In(1), "half": In(1), "word": In(c.sram_word_bits),
            "data": Out(c.chunk * c.operand_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        note, bits = self.shared.p.note, c.operand_bits
        mine = self.shared.valid & ((note.slice == self.number) if c.slices > 1 else 1)
        # Chunk, and first word of its row, one cycle later; then its word.
        store = Signal(2)
        lsb = Signal(2, reset_less=True)
        half = [Signal(name=f"half{n}", reset_less=True) for n in range(2)]
        stored = [Signal(c.chunk * bits, name=f"chunk{n}", reset_less=True) for n in range(2)]
        base = Signal(c.row_bits + c.chunk_count_bits, reset_less=True)
        chunk = Signal(c.chunk_bits, reset_less=True)
        word = Signal(c.sram_word_bits, reset_less=True)
        fits = Signal(reset_less=True)
        m.d.comb += self.shared.ready.eq(1)
        m.d.sync += [
            store.eq(Cat(mine & ((note.kind == ReadKind.VALUE) | (note.kind == ReadKind.VALUE_LSB)), store[0])),
            lsb.eq(Cat(note.kind == ReadKind.VALUE_LSB, lsb[0])),
            half[0].eq(note.half), half[1].eq(half[0]),
            stored[0].eq(self.shared.p.data), stored[1].eq(stored[0]),
            base.eq(times_few(narrow(note.index, c.row_bits), self.chunks)), chunk.eq(self.shared.p.chunk),
            # Rows that fit the half have words below `sram_words`.
            word.eq(narrow(base + chunk, c.sram_word_bits)), fits.eq(base + chunk < c.sram_words),
        ]
        # Memory of the low bits, and, unless operands have no more, one of the others.
        low = min(LSB_WIDTH, bits)
        for first, width in ((0, low), (low, bits - low)):
            if not width:
                continue
            m.submodules[f"bits{first}"] = memory = Memory(
                shape=unsigned(c.chunk * width), depth=2 << c.sram_word_bits, init=[], attrs=NO_COLLISIONS)
            w, r = memory.write_port(), memory.read_port(transparent_for=())
            m.d.comb += [
                w.addr.eq(Cat(word, half[1])), w.en.eq(store[1] if first == 0 else store[1] & ~lsb[1]),
                w.data.eq(Cat(stored[1][e * bits + first:e * bits + first + width] for e in range(c.chunk))),
                r.addr.eq(Cat(self.word, self.half)), r.en.eq(self.read),
                *(self.data[e * bits + first:e * bits + first + width].eq(r.data.word_select(e, width))
                  for e in range(c.chunk)),
            ]
        contract(m, fits, "a fill lies in its half", when=store[1])
        return m
