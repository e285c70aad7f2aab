"""Rescaling as the requantiser does it, on its own: every number of 16 bits, ties and both ends of wide ones, every
shift; sums of magnitudes, products with strides."""

from functools import cache

import numpy as np
import pytest
from amaranth import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.config import OUT_BITS
from spatten_hw.primitives.adder_tree import adder_tree
from spatten_hw.primitives.pipeline import Pipeline, delay
from spatten_hw.primitives.products import stride_product
from spatten_hw.primitives.rounding import guarded, round_saturate, sticky_shift
from spatten_hw.primitives.tree import tree_stages
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from tests.seeds import numbers

#: Bits of a shift, as in the scale table: amounts up to 63, in two steps of 16 and 1.
SHIFT_BITS, FINE_BITS = 6, 4
LOW, HIGH = -(1 << (OUT_BITS - 1)), (1 << (OUT_BITS - 1)) - 1
#: Lanes, bits of the numbers to be rounded, bits of number, stride and their product: as narrow as `round_saturate`
#: allows, which is few enough for every number, and as wide as the widest build has them.
NARROW, WIDE = (4, 16, 3, 20, 23), (8, 50, 16, 32, 40)
#: One lane has no tree.
ONE = (1, 30, 1, 17, 18)


class Rescale(wiring.Component):
    """Primitives between streams, each for one row per cycle: `rows` are `i.values` ·2^−shift, `sums`
    Σ |rows|, `products` number·stride. Nothing waits; what `i` carries in a cycle without valid is used for nothing."""

    #: Two shifts and the rounding.
    ROUND_STAGES = 3
    PRODUCT_STAGES = 2

    def __init__(self, lanes: int, width: int, number: int, stride: int, product: int):
        self.lanes, self.width, self.product = lanes, width, product
        #: Absolute values, then two levels of the tree each.
        self.sum_stages = 1 + tree_stages(lanes)
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({
                "values": data.ArrayLayout(signed(width), lanes), "shift": unsigned(SHIFT_BITS),
                "number": unsigned(number), "stride": unsigned(stride)}))),
            "rows": Out(stream.Signature(data.StructLayout({"row": data.ArrayLayout(signed(OUT_BITS), lanes)}))),
            "sums": Out(stream.Signature(unsigned(OUT_BITS + (lanes - 1).bit_length()))),
            "products": Out(stream.Signature(unsigned(product))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        i = self.i.p
        fine = delay(m, i.shift[:FINE_BITS], 1, "fine")
        row = Signal(data.ArrayLayout(signed(OUT_BITS), self.lanes))
        for n in range(self.lanes):
            coarse_row, fine_row = (Signal(signed(self.width + 2), name=f"{name}_{n}") for name in ("coarse", "fine"))
            m.d.sync += [
                coarse_row.eq(sticky_shift(m, guarded(i["values"][n]), i.shift[FINE_BITS:], 1 << FINE_BITS,
                                             f"coarse_{n}")),
                fine_row.eq(sticky_shift(m, coarse_row, fine, 1, f"fine_{n}")),
                row[n].eq(round_saturate(m, fine_row, OUT_BITS, f"row_{n}")),
            ]
        absolute = Pipeline(m).stage([Mux(out < 0, -out, out)[:OUT_BITS] for out in row], "absolute")
        total = adder_tree(m, absolute, "sums")
        for output, stages, value in ((self.rows, self.ROUND_STAGES, row),
                                      (self.sums, self.ROUND_STAGES + self.sum_stages, total),
                                      (self.products, self.PRODUCT_STAGES,
                                       stride_product(m, i.number, i.stride, self.product, "product"))):
            m.d.comb += [output.valid.eq(delay(m, self.i.valid, stages, f"valid_{stages}", reset=True)),
                         output.payload.eq(value)]
        m.d.comb += self.i.ready.eq(1)
        return m


@cache
def block_of(build: tuple[int, ...]) -> Block:
    return Block(Rescale, *build)


def edges(width: int, shift: int) -> list[int]:
    """Numbers of `width` bits about 0, about every bound that saturation and rounding have, and the widths' ends."""
    top, one, half = 1 << (width - 1), 1 << shift, 1 << shift >> 1
    near = [0, half, one, one + half, 2 * one + half, HIGH * one, HIGH * one + half, (HIGH - 1) * one + half,
            (HIGH + 1) * one, LOW * one, LOW * one - half, (LOW + 1) * one - half, (LOW - 1) * one, top - 1, -top]
    return [v for n in near for v in (n - 1, n, n + 1, 1 - n, -n, -1 - n) if -top <= v < top]


def rounded(values: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """values·2^−shift, rounded half to even and saturated. Fewer than 53 bits: exact in float64."""
    return np.clip(np.rint(np.ldexp(values.astype(np.float64), -shifts[:, None])), LOW, HIGH).astype(np.int64)


def run(block: Block, rng: np.random.Generator, values: np.ndarray, shifts: np.ndarray, stall: float) -> None:
    """`values` [n, lanes] through the block; numbers and strides are random, as large as fits."""
    c: Rescale = block.component
    layout = c.i.p.shape()
    bits = {name: layout[name].width for name in ("number", "stride")}
    number = rng.integers(0, 1 << bits["number"], len(values))
    stride = rng.integers(0, 1 << bits["stride"], len(values))
    number[:8], stride[:8] = (1 << bits["number"]) - 1, (1 << bits["stride"]) - 1
    number[2:4], stride[4:6] = 0, 0
    most = ((1 << c.product) - 1) // np.maximum(number, 1)
    stride = np.where(rng.random(len(values)) < 0.2, most, stride)
    stride = np.minimum(np.minimum(stride, most), (1 << bits["stride"]) - 1)
    for name in ("rows", "sums", "products"):
        block.receive(name)
    block.send("i", pack(layout, {"values": values, "shift": shifts, "number": number, "stride": stride}), stall=stall,
               seed=int(rng.integers(1, 1000)))
    count = len(values)
    block.run(10 * count + 100, rows=count, sums=count, products=count)
    sent = block.taken("i").cycles
    if stall == 0:
        assert block.taken("i").bubbles == 0
    for name, stages in (("rows", c.ROUND_STAGES), ("sums", c.ROUND_STAGES + c.sum_stages),
                         ("products", c.PRODUCT_STAGES)):
        assert np.array_equal(block.taken(name).cycles, sent + stages), name
    want = rounded(values, shifts)
    got = block.taken("rows").columns()["row"]
    wrong = np.argwhere(got != want)
    assert not len(wrong), [(int(values[r, n]), int(shifts[r]), int(got[r, n]), int(want[r, n])) for r, n in wrong[:5]]
    assert block.taken("sums").integers() == np.abs(want).sum(axis=1).tolist()
    assert block.taken("products").integers() == (number * stride).tolist()


@pytest.mark.parametrize("shift", [*range(19), 32, 63])
def test_every_number(shift):
    """All numbers of 16 bits: every tie, every number that is lost altogether, both signs."""
    values = np.arange(LOW, HIGH + 1).reshape(-1, NARROW[0])
    run(block_of(NARROW), numbers("rescale all", shift), values, np.full(len(values), shift), 0)


@pytest.mark.parametrize("build", [ONE, WIDE], ids=["one lane", "wide"])
def test_wide_numbers(build):
    """Ties and bounds of every shift, in every lane; then random numbers of every magnitude, with gaps between rows."""
    rng, block, (lanes, width) = numbers("rescale", build), block_of(build), build[:2]
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    rows, shifts = [], []
    for shift in range(1 << SHIFT_BITS):
        some = edges(width, shift)
        some += [int(v) for v in rng.choice(some, -len(some) % lanes)]
        # All lanes at the largest magnitudes at once: the sum's width.
        rows += [some[at:at + lanes] for at in range(0, len(some), lanes)] + [[low] * lanes, [high] * lanes]
        shifts += [shift] * (len(some) // lanes + 2)
    run(block, rng, np.array(rows), np.array(shifts), 0)
    magnitude = rng.integers(1, width, (4000, lanes))
    values = rng.choice([-1, 1], magnitude.shape) * (rng.integers(0, 1 << 62, magnitude.shape) & (1 << magnitude) - 1)
    # Half of them on a tie or beside one.
    amounts = rng.integers(0, 1 << SHIFT_BITS, len(values))
    half = (1 << np.clip(amounts, 1, width - 2) >> 1)[:, None]
    tied = values // (2 * half) * (2 * half) + half + rng.integers(-1, 2, values.shape)
    values = np.where(rng.random(values.shape) < 0.5, np.clip(tied, low, high), values)
    for stall in (0.0, 0.5):
        run(block, rng, values, amounts, stall)
