"""A shallow FIFO of wide payloads in block memory, as quick as one in look-up tables."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..primitives.pipeline import copies
from ..primitives.registers import NO_COLLISIONS

#: Words of the memory at least: the same block on an FPGA, and no smaller one is worth its decoder on a chip.
LEAST_WORDS = 32
#: Bits of a word that share a copy of the bit that chooses them.
SHARE = 64


class WideBuffer(wiring.Component):
    """`depth` ≥ 2 words, the ports and the cycles of Amaranth's `SyncFIFO`: from empty, 1 cycle.

    The `wide` low bits of a word lie in a memory with a synchronous read, which is always at the word that is on
    `r_data` in the next cycle. Where that word is written only now, it comes from a register beside the memory. The
    other bits, which may decide about `r_en`, are read from a small memory at once: block memory answers late.
    """

    #: Word in, if `w_en` and `w_rdy`.
    w_data: Signal
    w_en: Signal
    #: There is room.
    w_rdy: Signal
    #: First word, taken if `r_en` and `r_rdy`.
    r_data: Signal
    r_en: Signal
    #: There is a word.
    r_rdy: Signal
    #: Words stored.
    level: Signal

    def __init__(self, width: int, depth: int, wide: int):
        if depth < 2 or not 0 < wide <= width:
            raise ValueError(f"depth must be at least 2, wide 1 … {width}, not {depth} and {wide}")
        self.width = width
        self.depth = depth
        self.wide = wide
        super().__init__({
            "w_data": In(width), "w_en": In(1), "w_rdy": Out(1), "r_data": Out(width), "r_en": In(1), "r_rdy": Out(1),
            "level": Out(depth.bit_length()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        level = Signal(self.depth.bit_length())
        last = self.depth - 1
        to, from_, following = (Signal(range(self.depth), name=name) for name in ("to", "from_", "following"))
        put = Signal()
        get = Signal()
        m.d.comb += [
            self.w_rdy.eq(level != self.depth), self.r_rdy.eq(level != 0), self.level.eq(level),
            put.eq(self.w_en & self.w_rdy), get.eq(self.r_en & self.r_rdy),
            following.eq(Mux(get, Mux(from_ == last, 0, from_ + 1), from_)),
        ]
        m.d.sync += [level.eq(level + put - get), from_.eq(following)]
        with m.If(put):
            m.d.sync += to.eq(Mux(to == last, 0, to + 1))

        low, rest = self.w_data[:self.wide], self.w_data[self.wide:]
        m.submodules.words = words = Memory(shape=unsigned(self.wide), depth=max(self.depth, LEAST_WORDS), init=[],
                                            attrs=NO_COLLISIONS | {"ram_style": "block"})
        write, read = words.write_port(), words.read_port(transparent_for=())
        arrived = Signal(self.wide, reset_less=True)
        passes = copies(m, put & (to == following), -(-self.wide // SHARE), "passes", reset=False)
        m.d.sync += arrived.eq(low)
        m.d.comb += [
            write.addr.eq(to), write.data.eq(low), write.en.eq(put), read.addr.eq(following), read.en.eq(1),
        ]
        out = [Mux(passing, arrived[n * SHARE:(n + 1) * SHARE], read.data[n * SHARE:(n + 1) * SHARE])
               for n, passing in enumerate(passes)]
        if len(rest):
            m.submodules.others = others = Memory(shape=unsigned(len(rest)), depth=self.depth, init=[])
            write, read = others.write_port(), others.read_port(domain="comb")
            m.d.comb += [write.addr.eq(to), write.data.eq(rest), write.en.eq(put), read.addr.eq(from_)]
            out.append(read.data)
        m.d.comb += self.r_data.eq(Cat(out))
        return m
