"""Resize, narrow, wrap and saturate: the ways to change the width of a number.

`spatten_hw.sim.golden.numerics` has `saturate` on numpy integers. A plain assignment to a narrower register drops bits
silently. The accelerator has none, except for sums and differences of a count whose register holds every value that
occurs (`level + taken - given`): their carry is 0 by construction. `tests/verilog/test_widths.py` checks every
assignment.
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


def wrap(value: ValueLike, width: int) -> Value:
    """`value` modulo 2**`width`, unsigned; for numbers that are *meant* to wrap: ring indices, addresses, parts of sums
    whose total fits."""
    return narrow(value, width)


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


def saturate_unsigned(value: ValueLike, width: int) -> Value:
    """Unsigned `value`, all ones if it does not fit `width` bits: a reduction of the bits above, no comparison."""
    v = Value.cast(value)
    return v[:width] | v[width:].any().replicate(width)
