"""How the pieces of an element become its operand: where the bits of each plane go (SpAtten, section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Value, unsigned
from amaranth.lib import data

from ..config import LSB_WIDTH, SpAttenConfig
from ..primitives.one_hot import any_of
from .planes import row_widths, slot_widths, slots_of


def cases(c: SpAttenConfig) -> tuple[tuple[int, bool], ...]:
    """(width, shifted) of the rows that this build takes; shifted: above an LSB plane."""
    return tuple((w, s) for w in row_widths(c) for s in (False, True) if w + LSB_WIDTH * s <= c.operand_bits)


def placements(c: SpAttenConfig) -> dict[tuple[int, int], list[tuple[int, bool]]]:
    """(slot, lowest bit in the operand) → the cases in which the slot's part goes there."""
    places: dict[tuple[int, int], list[tuple[int, bool]]] = {}
    for width, shifted in cases(c):
        above = width
        for slot, part in slots_of(width).items():
            above -= part
            places.setdefault((slot, above + LSB_WIDTH * shifted), []).append((width, shifted))
    return places


def operand_select(c: SpAttenConfig) -> data.StructLayout:
    """`places`: one bit per placement; `signs`: bit i: bit i of the operand is its sign (above the element). `bytes`:
    the sign is that of a byte; `nibbles`: the last slot holds nibbles. `centred` (with `decision_rules`): four unsigned
    bits less 8, which is their top bit inverted, and a sign above."""
    return data.StructLayout({"places": unsigned(len(placements(c))), "signs": unsigned(c.operand_bits), "bytes": 1,
                              "nibbles": 1, **({"centred": 1} if c.decision_rules else {})})


def decoded(c: SpAttenConfig, width: Value, lsb: Value, shift: Value) -> Value:
    """The mode of a row as an `operand_select`. To be registered: every bit drives multiplexers of a converter."""
    centred = lsb & shift if c.decision_rules else Const(0, 1)
    shift = shift & ~lsb
    is_case = {(w, s): (width == w) & (shift if s else ~shift) for w, s in cases(c)}
    places = [any_of(is_case[case] for case in chosen) for chosen in placements(c).values()]
    signed = ~lsb | centred
    signs = [any_of([Const(0, 1), *[chosen for (w, s), chosen in is_case.items() if w + LSB_WIDTH * s <= bit]]) & signed
             for bit in range(c.operand_bits)]
    return Cat(*places, *signs, width >= 8, width == 16, *([centred] if c.decision_rules else []))


def operand(c: SpAttenConfig, select: data.View, parts: list[Value]) -> Value:
    """One operand of W bits. `parts`: the element's bits in each slot (`planes.SLOTS`), as wide as the widest plane.

    Narrow planes are the low bits. The terms of a bit are ANDed and ORed, since at most one place is chosen per slot.
    """
    sign = parts[1][3]
    if slot_widths(c, 0):
        sign = (parts[0][7] & select.bytes) | (sign & ~select.bytes)
    if c.decision_rules:
        sign ^= select.centred
    bits: list[Value] = []
    for bit in range(c.operand_bits):
        terms: list[Value] = [sign & select.signs[bit]] if bit >= 4 else []
        for number, (slot, low) in enumerate(placements(c)):
            # A part of two bits in a slot that may hold nibbles has zeros above.
            if low <= bit < low + len(parts[slot]):
                terms.append(parts[slot][bit - low] & select.places[number])
        bits.append(any_of(terms) if terms else Const(0, 1))
        if bit == LSB_WIDTH - 1 and c.decision_rules:
            bits[-1] ^= select.centred
    return Cat(bits)

