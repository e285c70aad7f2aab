"""Bit-width converter: raw rows to operands at on-chip width (SpAtten, Figure 8 and section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, PLANE_WIDTHS, SpAttenConfig, clog2
from ..control.descriptor import dim_case
from ..shared import Shared
from .aligner import join_offset

#: Elements that share the registers that say how they are converted.
ELEMENTS_PER_COPY = 8


def plane_widths(c: SpAttenConfig) -> tuple[int, ...]:
    """Widths of MSB planes that this build takes."""
    return tuple(w for w in PLANE_WIDTHS if w <= c.operand_bits)


def has_lsbs(c: SpAttenConfig) -> bool:
    """Whether operands are wide enough for an LSB plane."""
    return c.operand_bits >= LSB_WIDTH + PLANE_WIDTHS[0]


def conversion(c: SpAttenConfig) -> data.StructLayout:
    """A `row_mode` decoded to what selects in a converter: `width`, the bit of the elements' among `plane_widths`;
    `signed`, the same bit if they are extended with their sign; `upper`: they are the upper bits of operands, below
    them are LSBs (`join`) or half a step (`mid`)."""
    number = len(plane_widths(c))
    return data.StructLayout({"width": unsigned(number), "signed": unsigned(number), "upper": 1, "join": 1, "mid": 1})


def decoded(c: SpAttenConfig, mode: data.View) -> Value:
    """`mode` (`row_mode`) as a `conversion`. To be registered: a converter selects with every bit of it."""
    width = Cat(mode.width == w for w in plane_widths(c))
    extra = [mode.shift & ~mode.lsb, mode.join, mode.mid] if has_lsbs(c) else [Const(0, 3)]
    return Cat(width, width & (~mode.lsb).replicate(len(width)), *extra)


def selector_copies(c: SpAttenConfig) -> int:
    """Copies of its `conversion` that a slice takes: one for every `ELEMENTS_PER_COPY` elements."""
    return -(-c.min_dim // ELEMENTS_PER_COPY)


class SliceConverter(wiring.Component):
    """One array slice: `min_dim` elements, element e in bits e·width … of `msb` (of an LSB plane 4 bits, unsigned), to
    `operands` of W bits, in the cycle after `enable`.

    `conversions`: all the same, one for every `ELEMENTS_PER_COPY` elements. `lsb`: 4 bits per element, below the MSBs
    where `join`. Valid input: `width` in PLANE_WIDTHS, width ≤ W, with `upper` width + 4 ≤ W.

    First every width's bits, signs above them, are masked and or-ed together, then the result or itself four bits
    further up is taken. As one choice among all kinds of rows it takes a third more LUTs and two levels more.
    """

    enable: Signal
    conversions: data.View
    msb: Signal
    lsb: Signal
    operands: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "enable": In(1), "conversions": In(data.ArrayLayout(conversion(c), selector_copies(c))),
            "msb": In(c.min_dim * c.operand_bits), "lsb": In(c.min_dim * LSB_WIDTH),
            "operands": Out(c.min_dim * c.operand_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        bits = c.operand_bits
        operands = Signal(c.min_dim * bits, reset_less=True)
        m.d.comb += self.operands.eq(operands)
        # Statements per element, not one wide expression: a simulator pays for nested concatenations by the square.
        for e in range(c.min_dim):
            how = self.conversions[e // ELEMENTS_PER_COPY]
            extended: Value = Const(0, bits)
            for number, w in enumerate(plane_widths(c)):
                element = self.msb[e * w:(e + 1) * w]
                above = (element[-1] & how.signed[number]).replicate(bits - w)
                extended = extended | Cat(element & how.width[number].replicate(w), above)
            value = Signal(bits, name=f"extended_{e}")
            m.d.comb += value.eq(extended)
            row: Value = value
            if has_lsbs(c):
                below = Mux(how.join, self.lsb.word_select(e, LSB_WIDTH), Cat(Const(0, LSB_WIDTH - 1), how.mid))
                row = Mux(how.upper, Cat(below, value[:bits - LSB_WIDTH]), value)
            with m.If(self.enable):
                m.d.sync += operands[e * bits:(e + 1) * bits].eq(row)
        return m


class BitWidthConverter(wiring.Component):
    """Raw rows to operands, `slices` array slices at once, in the cycle after `en`.

    At D = min_dim << dim_log2 a row of K, Q or V takes 2^dim_log2 neighbouring slices. `raw`: each row's field of D·W
    bits holds the elements tightly from its lowest bit; with `join` in its mode the MSBs there and the LSBs from bit
    D·(W − 4). `conversions`: how, the same for all, `selector_copies` for each slice. One converter serves all lanes of
    a fetcher behind the collector: in front of it each lane would need one as wide as its longest row.
    """

    en: Signal
    dim_log2: Signal
    conversions: data.View
    raw: data.View
    operands: data.View

    def __init__(self, config: SpAttenConfig, slices: int):
        self.config = c = config
        self.slices = slices
        fields = data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), slices)
        super().__init__({
            "en": In(1), "dim_log2": In(max(1, clog2(len(c.dims)))),
            "conversions": In(data.ArrayLayout(conversion(c), slices * selector_copies(c))),
            "raw": In(fields), "operands": Out(fields),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        bits = c.operand_bits
        field = c.min_dim * bits
        copies = selector_copies(c)
        for s in range(self.slices):
            m.submodules[f"slice{s}"] = part = Shared(SliceConverter, c)
            m.d.comb += [
                part.enable.eq(self.en), self.operands[s].eq(part.operands),
                *(part.conversions[n].eq(self.conversions[s * copies + n]) for n in range(copies)),
            ]
            with m.Switch(self.dim_log2):
                for d in range(len(c.dims)):
                    first = s >> d << d                        # the row's first slice
                    number = s - first                         # this one's place in the row
                    row = Cat(self.raw[k] for k in range(first, first + (1 << d)))
                    low = (c.min_dim << d) * (bits - LSB_WIDTH) + number * c.min_dim * LSB_WIDTH
                    with dim_case(m, c, d):
                        if has_lsbs(c):
                            m.d.comb += part.lsb.eq(row[low:low + c.min_dim * LSB_WIDTH])
                        if number == 0:
                            m.d.comb += part.msb.eq(row[:field])
                            continue
                        with m.Switch(self.conversions[s * copies].width):
                            for at, w in enumerate(plane_widths(c)):
                                start = number * c.min_dim * w
                                with m.Case(1 << at):
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

