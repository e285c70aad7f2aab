"""K SRAM of a slice: two halves of chunks, low bits apart from the others."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, SpAttenConfig
from ..contract import contract
from ..primitives.registers import NO_COLLISIONS

#: The narrowest MSB plane that can have an LSB plane below it.
NARROWEST_MSB = 4


def low_bits(c: SpAttenConfig) -> int:
    """Bits of an element that an LSB plane fills; 0 where no job can have one."""
    return LSB_WIDTH if c.operand_bits >= NARROWEST_MSB + LSB_WIDTH else 0


def read_layout(c: SpAttenConfig) -> data.StructLayout:
    """Chunk `word` of half `half`; `bare`: as if the row's LSBs were 0."""
    return data.StructLayout({"word": unsigned(c.sram_word_bits), "half": 1, "bare": 1})


class KeySram(wiring.Component):
    """2 × `sram_words` chunks of N elements of W bits.

    write: `data` into chunk `word` of half `half`; `lsb`: only the low 4 bits of every element.
    read: with `read_en`; `read_data` follows one cycle later and holds its elements until the next read.

    Both at once in every cycle; what is read is not being written. The low bits are a memory of their own, because
    block RAM has write enables of 8 or 9 bits, not of 4.
    """

    write_en: Signal
    write_word: Signal
    write_half: Signal
    write_lsb: Signal
    write_data: Signal
    read_en: Signal
    read: data.View
    read_data: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        bits = c.chunk * c.operand_bits
        super().__init__({
            "write_en": In(1), "write_word": In(c.sram_word_bits), "write_half": In(1), "write_lsb": In(1),
            "write_data": In(bits),
            "read_en": In(1), "read": In(read_layout(c)), "read_data": Out(bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        low = low_bits(c)
        elements = [self.write_data.word_select(e, c.operand_bits) for e in range(c.chunk)]
        lows = self._memory(m, "low", [element[:low] for element in elements], 1)
        highs = self._memory(m, "high", [element[low:] for element in elements], ~self.write_lsb)
        bare = Signal(reset_less=True)
        with m.If(self.read_en):
            m.d.sync += bare.eq(self.read.bare)
        m.d.comb += self.read_data.eq(Cat(
            Cat(part & ~bare.replicate(low), top) for part, top in zip(lows, highs, strict=True)))
        contract(m, self.write_word < c.sram_words, "a chunk is written into its half", when=self.write_en)
        contract(m, self.read.word < c.sram_words, "a chunk is read from its half", when=self.read_en)
        contract(m, (self.write_half != self.read.half) | (self.write_word != self.read.word),
                 "what is read is not being written", when=self.write_en & self.read_en)
        contract(m, low > 0, "only elements of 8 bits and more have LSBs", when=self.write_en & self.write_lsb)
        return m

    def _memory(self, m: Module, name: str, parts: list, enable) -> list:
        """The memory `name` of these parts of the elements; → the parts read."""
        c = self.config
        width = len(parts[0])
        if width == 0:
            return parts
        depth = (1 << c.sram_word_bits) + c.sram_words
        m.submodules[name] = memory = Memory(shape=unsigned(c.chunk * width), depth=depth, init=[],
                                             attrs=NO_COLLISIONS)
        write, read = memory.write_port(), memory.read_port(transparent_for=())
        m.d.comb += [
            write.addr.eq(Cat(self.write_word, self.write_half)), write.data.eq(Cat(parts)),
            write.en.eq(self.write_en & enable),
            read.addr.eq(Cat(self.read.word, self.read.half)), read.en.eq(self.read_en),
        ]
        return [read.data.word_select(e, width) for e in range(c.chunk)]
