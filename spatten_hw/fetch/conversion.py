"""How an element of a plane becomes an operand (SpAtten, section IV-D): widths, signs, where LSBs go."""

from __future__ import annotations

from amaranth import Cat, Const, Mux, Value, unsigned
from amaranth.lib import data

from ..config import LSB_WIDTH, PLANE_WIDTHS, SpAttenConfig


def plane_widths(c: SpAttenConfig) -> tuple[int, ...]:
    """Widths of MSB planes that this build takes."""
    return tuple(w for w in PLANE_WIDTHS if w <= c.operand_bits)


def has_lsbs(c: SpAttenConfig) -> bool:
    """Whether operands are wide enough for an LSB plane."""
    return c.operand_bits >= LSB_WIDTH + PLANE_WIDTHS[0]


def conversion(c: SpAttenConfig) -> data.StructLayout:
    """A `row_mode` decoded to the select signals of a converter. `width`: the elements' width, one-hot over
    `plane_widths`; `signed`: the same bit if elements are sign-extended, else 0; `upper`: elements are the upper bits
    of operands, with half a step (`mid`) or 0 below."""
    number = len(plane_widths(c))
    return data.StructLayout({"width": unsigned(number), "signed": unsigned(number), "upper": 1, "mid": 1})


def decoded(c: SpAttenConfig, mode: data.View) -> Value:
    """`mode` (`row_mode`) as a `conversion`. To be registered: every bit drives multiplexers of a converter."""
    width = Cat(mode.width == w for w in plane_widths(c))
    extra = [mode.shift & ~mode.lsb, mode.mid] if has_lsbs(c) else [Const(0, 2)]
    return Cat(width, width & (~mode.lsb).replicate(len(width)), *extra)


def operand(c: SpAttenConfig, select: data.View, elements: dict[int, Value]) -> Value:
    """One operand. `elements`: for each width that may come here, the bits of an element of that width; `select`: a
    `conversion`.

    First the sign-extended bits of all widths are masked and ORed; then the result is taken as it is or four bits
    further up. One multiplexer over all kinds of rows takes a third more LUTs and two more levels.
    """
    bits = c.operand_bits
    value: Value = Const(0, bits)
    for number, w in enumerate(plane_widths(c)):
        if w not in elements:
            continue
        element = elements[w]
        sign_bits = (element[-1] & select.signed[number]).replicate(bits - w)
        value = value | Cat(element & select.width[number].replicate(w), sign_bits)
    if not has_lsbs(c):
        return value[:bits]
    return Mux(select.upper, Cat(Const(0, LSB_WIDTH - 1), select.mid, value[:bits - LSB_WIDTH]), value[:bits])
