"""Round half to even, the only rounding there is: in one step, or after shifts cut into pipeline stages.

A *guarded* number has two bits below its lowest one: the half (guard bit), and whether anything below the half is not 0
(sticky bit). Shifts keep the sticky bit, so a long shift may take several stages, and rounding after the last one is
still that of the exact number. `spatten_hw.sim.golden.numerics.round_shift` is the same on numpy integers.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import ValueLike

from .widths import unsigned_const

#: Bits of a guarded number below its lowest one: guard and sticky.
GUARD_BITS = 2


def rounds_up(half: ValueLike, sticky: ValueLike, odd: ValueLike) -> Value:
    """Whether rounding adds one to the floor: more than half is lost, or exactly half and the floor is odd."""
    return Value.cast(half) & (Value.cast(sticky) | Value.cast(odd))


def round_shift(value: ValueLike, amount: ValueLike, max_amount: int | None = None) -> Value:
    """`value / 2**amount` rounded half to even, in one step.

    `amount` is a Python integer or an unsigned value (then at most `max_amount`). The result has the
    signedness of `value` and its full width (a constant amount drops the bits shifted out).
    """
    v = Value.cast(value)
    if isinstance(amount, int):
        if amount == 0:
            return v
        if amount >= len(v) + 1:
            return (v & 0) if not v.shape().signed else (v & 0).as_signed()
        floor = v >> amount
        half = v[amount - 1] if amount <= len(v) else 0
        sticky = v[:amount - 1].any() if amount >= 2 else 0
        return floor + rounds_up(half, sticky, floor[0])
    amt = Value.cast(amount)
    limit = max_amount if max_amount is not None else (1 << len(amt)) - 1
    # Append `limit` fraction bits, shift, and round the constant-size fraction with a sticky bit.
    wide = Cat(unsigned_const(0, limit), v)
    wide = wide.as_signed() if v.shape().signed else wide
    moved = wide >> amt
    return round_shift(moved, limit) if limit else v


def guarded(value: ValueLike) -> Value:
    """`value`, exact, with guard and sticky bit (0) below it; as signed or unsigned as it was."""
    v = Value.cast(value)
    wide = Cat(Const(0, GUARD_BITS), v)
    return wide.as_signed() if v.shape().signed else wide


def guarded_shift(value: ValueLike, amount: int) -> Value:
    """Unsigned `value / 2**amount` (`amount` ≥ 1, constant) as a guarded number of len(value) − amount + 2 bits."""
    v = Value.cast(value)
    return Cat(v[:amount - 1].any() if amount > 1 else Const(0, 1), v[amount - 1:])


def sticky_shift(m: Module, value: ValueLike, amount: Value, step: int, name: str) -> Value:
    """Guarded `value >> amount·step` (`step` a power of two), same width and signedness: bit 0 is the OR of itself and
    of all bits shifted out. `name`: prefix of its signals' names.

    A shifter and a mask rather than a multiplexer of all shifted numbers: half of the LUTs at 16 amounts.
    """
    v = Value.cast(value)
    moved = Signal(v.shape(), name=f"{name}_moved")
    # Low bits that the largest shift drops.
    reach = min(len(v), step * ((1 << len(amount)) - 1))
    passed = Signal(reach, name=f"{name}_passed")
    m.d.comb += [
        moved.eq(v >> Cat(Const(0, step.bit_length() - 1), amount)),
        passed.eq(Cat(amount > n // step for n in range(reach))),
    ]
    lost = (v[:reach] & passed).any()
    jammed = Cat(moved[0] | lost, moved[1:])
    return jammed.as_signed() if v.shape().signed else jammed


def round_guarded(value: ValueLike) -> Value:
    """Drops guard and sticky bit of an unsigned guarded number, rounding half to even; one bit wider than the rest."""
    v = Value.cast(value)
    return v[GUARD_BITS:] + rounds_up(v[1], v[0], v[2])


def round_saturate(m: Module, value: Value, width: int, name: str) -> Value:
    """Signed guarded `value` (at least `width` + 2 bits) rounded half to even and saturated to signed `width` bits, as
    bits.

    Saturation depends on the floor only: the largest number cannot round up any further, and below the smallest one
    every rounding ends there. So it is decided in parallel with the rounding, not after it.
    """
    floor = value >> GUARD_BITS
    top = (1 << (width - 1)) - 1
    over, under, up = (Signal(name=f"{name}_{what}") for what in ("over", "under", "up"))
    m.d.comb += [over.eq(floor >= top), under.eq(floor < -top - 1), up.eq(rounds_up(value[1], value[0], value[2]))]
    rounded = (floor[:width] + up)[:width]
    return Mux(over, Const(top, width), Mux(under, Const(1 << (width - 1), width), rounded))
