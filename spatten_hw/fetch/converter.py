"""Bit-width converter: raw rows to operands at on-chip width (SpAtten, Figure 8 and section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, PLANE_WIDTHS, SpAttenConfig, clog2
from ..shared import Shared
from .aligner import join_offset, row_mode


def plane_widths(c: SpAttenConfig) -> tuple[int, ...]:
    """Widths of MSB planes that this build takes."""
    return tuple(w for w in PLANE_WIDTHS if w <= c.operand_bits)


def has_lsbs(c: SpAttenConfig) -> bool:
    """Whether operands are wide enough for an LSB plane."""
    return c.operand_bits >= LSB_WIDTH + PLANE_WIDTHS[0]


class SliceConverter(wiring.Component):
    """One array slice: `min_dim` elements of `mode.width` bits each, element e in bits e·width … of `msb` (for an LSB
    plane, `mode.lsb`, 4 bits), to `operands` of W bits, in the cycle after `enable`.

    `lsb`: 4 bits per element, added to shifted MSBs where `mode.join`. Valid input: `width` in PLANE_WIDTHS, width ≤ W,
    with `shift` width + 4 ≤ W.
    """

    enable: Signal
    mode: data.View
    msb: Signal
    lsb: Signal
    operands: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "enable": In(1), "mode": In(row_mode()), "msb": In(c.min_dim * c.operand_bits),
            "lsb": In(c.min_dim * LSB_WIDTH), "operands": Out(c.min_dim * c.operand_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        mode, bits = self.mode, c.operand_bits
        widths = plane_widths(c)
        # Statements per element and kind of row, not one wide expression: a simulator pays for nested concatenations
        # by the square, and for expressions outside the statements in every cycle.
        operands = Signal(c.min_dim * bits, reset_less=True)
        m.d.comb += self.operands.eq(operands)

        def store(fields) -> None:
            for e in range(c.min_dim):
                m.d.sync += operands[e * bits:(e + 1) * bits].eq(fields(e))

        # Every enabled cycle stores something, whatever `mode` says: the clock enable does not depend on it.
        with m.If(self.enable), m.Switch(mode.width):
            for w in widths:
                with m.Case(w) if w != widths[-1] else m.Default():
                    def plain(e: int, w: int = w) -> Value:
                        return self.msb[e * w:(e + 1) * w]

                    def extended(e: int, to: int, plain=plain) -> Value:
                        return Cat(plain(e), plain(e)[-1].replicate(to - len(plain(e))))

                    store(lambda e, extended=extended: extended(e, bits))
                    # Conditions that exclude each other: If and Elif would become a case with overlapping patterns.
                    is_lsb = mode.lsb if has_lsbs(c) and w == LSB_WIDTH else Const(0, 1)
                    shifted = mode.shift if has_lsbs(c) and w + LSB_WIDTH <= bits else Const(0, 1)
                    with m.If(is_lsb):  # 4 bits wide and unsigned
                        store(lambda e, plain=plain: Cat(plain(e), Const(0, bits - LSB_WIDTH)))
                    if has_lsbs(c) and w + LSB_WIDTH <= bits:
                        upper = bits - LSB_WIDTH
                        with m.If(~is_lsb & shifted & mode.join):
                            store(lambda e, extended=extended, upper=upper: Cat(
                                self.lsb.word_select(e, LSB_WIDTH), extended(e, upper)))
                        with m.If(~is_lsb & shifted & ~mode.join):
                            store(lambda e, extended=extended, upper=upper: Cat(
                                Const(0, LSB_WIDTH - 1), mode.mid, extended(e, upper)))
        return m


class BitWidthConverter(wiring.Component):
    """Raw rows to operands, `slices` array slices at once, in the cycle after `en`.

    At D = min_dim << dim_log2 a row of K, Q or V takes 2^dim_log2 neighbouring slices. `raw`: each row's field of D·W
    bits holds the elements tightly from its lowest bit; with `join` in its mode the MSBs there and the LSBs from bit
    D·(W − 4). `modes`: that of the rows, the same for every slice. One converter serves all lanes of a fetcher behind
    the collector: in front of it each lane would need one as wide as its longest row.
    """

    en: Signal
    dim_log2: Signal
    modes: data.View
    raw: data.View
    operands: data.View

    def __init__(self, config: SpAttenConfig, slices: int):
        self.config = c = config
        self.slices = slices
        fields = data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), slices)
        super().__init__({
            "en": In(1), "dim_log2": In(max(1, clog2(len(c.dims)))), "modes": In(data.ArrayLayout(row_mode(), slices)),
            "raw": In(fields), "operands": Out(fields),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        bits = c.operand_bits
        field = c.min_dim * bits
        for s in range(self.slices):
            m.submodules[f"slice{s}"] = part = Shared(SliceConverter, c)
            m.d.comb += [part.enable.eq(self.en), part.mode.eq(self.modes[s]), self.operands[s].eq(part.operands)]
            with m.Switch(self.dim_log2):
                for d in range(len(c.dims)):
                    if self.slices < 1 << d:
                        continue
                    first = s >> d << d                        # the row's first slice
                    number = s - first                         # this one's place in the row
                    row = Cat(self.raw[k] for k in range(first, first + (1 << d)))
                    low = (c.min_dim << d) * (bits - LSB_WIDTH) + number * c.min_dim * LSB_WIDTH
                    with m.Case(d):
                        if has_lsbs(c):
                            m.d.comb += part.lsb.eq(row[low:low + c.min_dim * LSB_WIDTH])
                        if number == 0:
                            m.d.comb += part.msb.eq(row[:field])
                            continue
                        with m.Switch(self.modes[s].width):
                            for w in plane_widths(c):
                                start = number * c.min_dim * w
                                with m.Case(w):
                                    m.d.comb += part.msb.eq(row[start:start + c.min_dim * w])
        return m


def second_field(c: SpAttenConfig, raw: Value, width: Value, d: int) -> Value:
    """The field of D·W bits (D = min_dim << d) of the second of two rows of `width`-bit elements side by side; bits
    beyond the row are 0. Valid input: 2·D ≤ max_dim."""
    dim = c.min_dim << d
    field: Value = Const(0, dim * c.operand_bits)
    for w in plane_widths(c):
        field = field | Mux(width == w, raw[dim * w:2 * dim * w], 0)
    return field


def row_field(c: SpAttenConfig, raw: Value, join: Value, d: int) -> Value:
    """The field of D·W bits (D = min_dim << d) of a raw row: its first bits, or both planes side by side."""
    dim = c.min_dim << d
    plain = raw[:dim * c.operand_bits]
    at = join_offset(c)
    if not has_lsbs(c) or dim == c.max_dim:
        return plain
    upper = dim * (c.operand_bits - LSB_WIDTH)
    return Cat(plain[:upper], Mux(join, raw[at:at + dim * LSB_WIDTH], plain[upper:]))

