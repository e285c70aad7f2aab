"""Scores to exponents: how far each score of a row lies below its vector's maximum, in log2 units."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract, contracts_on
from ..primitives.pipeline import delay
from ..primitives.rounding import guarded, round_guarded, sticky_shift
from ..primitives.widths import narrow, saturate
from .formats import D_BITS, Y_BITS
from .rows import exponent_row, score_exponents


class Exponent(wiring.Component):
    """y = saturate19(round_shift(d'·mant, post)), d' = saturate18(round_shift(top − score, pre)); S lanes per cycle.

    d' is 18 bits so that one 18×18 multiplier per lane is enough. Both shifts are cut into a coarse and a fine stage
    with a sticky bit; both roundings are half to even. Latency `LATENCY` cycles, one row per cycle, each with its
    own scaling, no back-pressure. Valid input: score ≤ top on live lanes (on others y is don't-care).
    """

    #: Scores (they come from block RAM); difference, two shifts, rounding; product; two shifts, rounding.
    LATENCY = 9

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(score_exponents(config))),
            "o": Out(stream.Signature(exponent_row(config))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        scaling = self.i.p.scaling
        top = delay(m, scaling.top, 1, "top")
        scores = delay(m, self.i.p.scores, 1, "scores")
        pre = delay(m, scaling.pre, 2, "pre")
        pre_fine = delay(m, pre, 1, "pre_fine")
        mant = delay(m, scaling.mant, 5, "mant")
        post = delay(m, scaling.post, 6, "post")
        post_fine = delay(m, post, 1, "post_fine")
        m.d.comb += [
            self.i.ready.eq(1),
            self.o.valid.eq(delay(m, self.i.valid, self.LATENCY, "valid", reset=True)),
            self.o.p.info.eq(delay(m, self.i.p.info, self.LATENCY, "info")),
        ]
        for lane in range(c.slices):
            below = Signal(c.score_bits, name=f"below_{lane}", reset_less=True)
            below_coarse = Signal(c.score_bits + 2, name=f"below_coarse_{lane}", reset_less=True)
            below_fine = Signal(c.score_bits + 2, name=f"below_fine_{lane}", reset_less=True)
            d = Signal(D_BITS, name=f"d_{lane}", reset_less=True)
            product = Signal(D_BITS + len(scaling.mant), name=f"product_{lane}", reset_less=True)
            y_coarse = Signal(len(product) + 2, name=f"y_coarse_{lane}", reset_less=True)
            y_fine = Signal(len(product) + 2, name=f"y_fine_{lane}", reset_less=True)
            y = Signal(Y_BITS, name=f"y_{lane}", reset_less=True)
            m.d.sync += [
                # Two score_bits numbers, the first not smaller: the difference fits score_bits unsigned.
                below.eq(narrow(top - scores[lane], c.score_bits)),
                below_coarse.eq(sticky_shift(m, guarded(below), pre[3:], 8, f"below_coarse_{lane}")),
                below_fine.eq(sticky_shift(m, below_coarse, pre_fine[:3], 1, f"below_fine_{lane}")),
                d.eq(saturate(round_guarded(below_fine), unsigned(D_BITS))),
                product.eq(d * mant),
                y_coarse.eq(sticky_shift(m, guarded(product), post[3:], 8, f"y_coarse_{lane}")),
                y_fine.eq(sticky_shift(m, y_coarse, post_fine[:3], 1, f"y_fine_{lane}")),
                y.eq(saturate(round_guarded(y_fine), unsigned(Y_BITS))),
            ]
            m.d.comb += self.o.p.y[lane].eq(y)
        if contracts_on():
            live = delay(m, self.i.p.info.live, 1, "checked_live")
            valid = delay(m, self.i.valid, 1, "checked", reset=True)
            contract(m, Cat((scores[lane] <= top) | ~live[lane] for lane in range(c.slices)).all(),
                     "no live score is above its vector's maximum", when=valid)
        always_taken(m, self.o, "exponents")
        return m
