"""Resize, round and saturate: the only ways a width changes in this project.

Every function takes an Amaranth value, states its rounding and saturation, and returns an expression of
an exact, stated shape; `spatten_hw.sim.golden.numerics` has the same functions on numpy integers. Plain narrowing
assignment drops bits silently and is not used.
"""

from __future__ import annotations

from amaranth import Cat, Const, Mux, Shape, Value, unsigned
from amaranth.hdl import ValueLike


def resize(value: ValueLike, shape: Shape) -> Value:
    """`value` in a shape that holds every value of its own shape (sign- or zero-extended).

    Raises `ValueError` if bits or the sign could be lost.
    """
    v = Value.cast(value)
    have, want = v.shape(), Shape.cast(shape)
    grow = 1 if want.signed and not have.signed else 0
    if (have.signed and not want.signed) or want.width < have.width + grow:
        raise ValueError(f"resize from {have!r} to {want!r} could lose a value: saturate() or narrow() instead")
    if want.width == have.width:
        return v
    fill = v[-1].replicate(want.width - have.width) if have.signed and have.width else Cat()
    bits = Cat(v, fill, *([0] if not have.signed else []))
    bits = (bits | unsigned_const(0, want.width))[:want.width]
    return bits.as_signed() if want.signed else bits


def unsigned_const(value: int, width: int) -> Value:
    """A constant of exactly `width` bits."""
    return Const(value, unsigned(width))


def narrow(value: ValueLike, width: int) -> Value:
    """The low `width` bits as an unsigned value; for values *known* to fit (say why at the call)."""
    v = Value.cast(value)
    return v[:width] if len(v) >= width else Cat(v, unsigned_const(0, width - len(v)))


def saturate(value: ValueLike, shape: Shape) -> Value:
    """`value` clamped to the range of `shape`."""
    v = Value.cast(value)
    want = Shape.cast(shape)
    lo = -(1 << (want.width - 1)) if want.signed else 0
    hi = (1 << (want.width - 1)) - 1 if want.signed else (1 << want.width) - 1
    clamped = v
    have = v.shape()
    have_hi = (1 << (have.width - 1)) - 1 if have.signed else (1 << have.width) - 1
    have_lo = -(1 << (have.width - 1)) if have.signed else 0
    if have_hi > hi:
        clamped = Mux(v > hi, hi, clamped)
    if have_lo < lo:
        clamped = Mux(v < lo, lo, clamped)
    clamped = Value.cast(clamped)
    if len(clamped) < want.width:
        # Not negative where `want` is unsigned, so its bits may be extended with zeros.
        clamped = resize(clamped if want.signed else clamped.as_unsigned(), want)
    bits = clamped[:want.width]
    return bits.as_signed() if want.signed else bits


def round_shift(value: ValueLike, amount: ValueLike, max_amount: int | None = None) -> Value:
    """`value / 2**amount` rounded half to even.

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
        odd = floor[0]
        return floor + (half & (sticky | odd))
    amt = Value.cast(amount)
    limit = max_amount if max_amount is not None else (1 << len(amt)) - 1
    # Append `limit` fraction bits, shift, and round the constant-size fraction with a sticky bit.
    signed_in = v.shape().signed
    wide = Cat(unsigned_const(0, limit), v)
    wide = wide.as_signed() if signed_in else wide
    moved = wide >> amt
    return round_shift(moved, limit) if limit else v


#: Bits of a factor up to which shifted numbers are added rather than a multiplier block taken.
FEW_BITS = 4


def times_few(number: Value, few: Value) -> Value:
    """`number · few`, both unsigned, exact, in as many bits as both together.

    For a factor that counts heads or the like: multiplier blocks are few, lie in rows across an FPGA, and one would be
    taken for a factor of two bits.
    """
    width = len(number) + len(few)
    if len(few) > FEW_BITS:
        return (number * few)[:width]
    terms: list[Value] = [Cat(unsigned_const(0, n), number & few[n].replicate(len(number))) for n in range(len(few))]
    while len(terms) > 1:
        terms = [sum(terms[n + 1:n + 2], terms[n]) for n in range(0, len(terms), 2)]
    return narrow(terms[0], width)


__all__ = ["narrow", "resize", "round_shift", "saturate", "times_few"]
