"""Rescaling of a group of elements: exact products with their scale, one rounding, and the sum of their magnitudes.

Fully pipelined, a group per cycle, no enable; `Requantiser` has the table of its stages.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data

from ..config import OUT_BITS
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import Pipeline, delay
from ..primitives.rounding import GUARD_BITS, guarded, round_saturate, sticky_shift
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow

#: Low bits of a sum, multiplied separately from the high ones: each half of a product fits one DSP block.
LOW_BITS = 17
#: The shift is split into one by multiples of 2^FINE_BITS and one by the rest.
FINE_BITS = 4


def exact_products(m: Module, row: data.View, lanes: int, mant: Value) -> data.View:
    """Stages 1 to 4: the lowest `lanes` elements of `row` (stage 0) times `mant` (unsigned, there in stage 1)."""
    bits, mant_bits = row.shape().elem_shape.width, len(mant)
    product_bits, low_bits = bits + mant_bits, min(LOW_BITS, bits - 1)
    beat = Signal(data.ArrayLayout(signed(bits), lanes), reset_less=True)
    factor = Signal(data.ArrayLayout(signed(bits), lanes), reset_less=True)
    mants = Pipeline(m).copies(mant, lanes, "mant")
    low = Signal(data.ArrayLayout(unsigned(low_bits + mant_bits), lanes), reset_less=True)
    high = Signal(data.ArrayLayout(signed(product_bits - low_bits), lanes), reset_less=True)
    product = Signal(data.ArrayLayout(signed(product_bits), lanes), reset_less=True)
    m.d.sync += [beat.eq(row.as_value()[:lanes * bits]), factor.eq(beat)]
    for n in range(lanes):
        m.d.sync += [
            low[n].eq(factor[n][:low_bits] * mants[n]),
            high[n].eq((factor[n][low_bits:].as_signed() * mants[n])[:product_bits - low_bits]),
            product[n].eq((low[n] + (high[n] << low_bits))[:product_bits]),
        ]
    return product


def rounded(m: Module, product: data.View, shift: Value) -> data.View:
    """Stages 5 to 7: `product` (stage 4) · 2^−`shift` (there in stage 1), rounded once, saturated to `OUT_BITS`."""
    lanes = product.shape().length
    bits = product.shape().elem_shape.width + GUARD_BITS
    shift = delay(m, shift, 3, "shift")
    fine = delay(m, shift[:FINE_BITS], 1, "fine")
    coarse_row = Signal(data.ArrayLayout(signed(bits), lanes), reset_less=True)
    fine_row = Signal(data.ArrayLayout(signed(bits), lanes), reset_less=True)
    out_row = Signal(data.ArrayLayout(signed(OUT_BITS), lanes), reset_less=True)
    for n in range(lanes):
        m.d.sync += [
            coarse_row[n].eq(sticky_shift(m, guarded(product[n]), shift[FINE_BITS:], 1 << FINE_BITS, f"coarse_{n}")),
            fine_row[n].eq(sticky_shift(m, coarse_row[n], fine, 1, f"fine_{n}")),
            out_row[n].eq(round_saturate(m, fine_row[n], OUT_BITS, f"out_{n}")),
        ]
    return out_row


def magnitude_sum(m: Module, row: data.View) -> Value:
    """Σ |row| of signed elements, `magnitude_stages` later: absolute values, then their tree."""
    bits = row.shape().elem_shape.width
    return adder_tree(m, Pipeline(m).stage([narrow(Mux(out < 0, -out, out), bits) for out in row], "absolute"),
                      "magnitudes")


def magnitude_stages(lanes: int) -> int:
    """Cycles of `magnitude_sum` of `lanes` elements."""
    return 1 + tree_stages(lanes)
