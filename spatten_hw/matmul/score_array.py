"""The Q×K multiplier array: S slices of `min_dim` multipliers, adder tree tapped by D."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import Pipeline
from ..primitives.tree import tree_stages
from ..primitives.widths import resize
from ..stream.job_layouts import dim_case, job_layout


def score_array_latency(c: SpAttenConfig) -> int:
    """Enabled cycles from operands at the inputs to scores at the outputs: operand register, product
    register, registers of the tree within a slice, one register per level between slices."""
    return 2 + tree_stages(c.min_dim) + clog2(c.max_dim // c.min_dim)


class ScoreArray(wiring.Component):
    """R = M/D exact dot products of one query with R keys, every cycle.

    k: R keys as in `operand_row` (key r in slices r·D/min_dim …). q: the query, D elements from bit 0.
    scores: lanes 0 … R − 1, `score_array_latency` enabled cycles later; the other lanes don't-care.
    en: clock enable of every register. dim_log2 = log2(D / min_dim), constant while data is in the pipe.

    Between slices, level e adds neighbours if D is larger than min_dim·2^e and passes its inputs on
    otherwise, so every D has the same latency and one tree serves all. (SpAtten, section IV-E: reconfigurable
    adder tree.)
    """

    en: Signal
    dim_log2: Signal
    k: data.View
    q: Signal
    scores: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "en": In(1),
            "dim_log2": In(job_layout(c)["dim_log2"].shape),
            "k": In(data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), c.slices)),
            "q": In(c.max_dim * c.operand_bits),
            "scores": Out(data.ArrayLayout(signed(c.score_bits), c.lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        block_bits = c.min_dim * c.operand_bits
        levels = clog2(c.max_dim // c.min_dim)

        q_blocks = Signal(data.ArrayLayout(unsigned(block_bits), 1 << levels))
        m.d.comb += q_blocks.eq(self.q)
        pipeline = Pipeline(m, self.en)
        sums: list[Value] = []
        for s in range(c.slices):
            k_slice = Signal(block_bits, name=f"k_slice{s}", reset_less=True)
            q_slice = Signal(block_bits, name=f"q_slice{s}", reset_less=True)
            with m.If(self.en):
                m.d.sync += k_slice.eq(self.k[s])
                with m.Switch(self.dim_log2):
                    for e in range(levels + 1):
                        with dim_case(m, c, e):
                            m.d.sync += q_slice.eq(q_blocks[s % (1 << e)])
            products = [
                k_slice.word_select(i, c.operand_bits).as_signed()
                * q_slice.word_select(i, c.operand_bits).as_signed() for i in range(c.min_dim)
            ]
            products = pipeline.stage(products, f"product{s}_")
            sums.append(adder_tree(m, products, f"slice{s}", self.en))

        for e in range(levels):
            join = Signal(name=f"join_level{e}")
            m.d.comb += join.eq(self.dim_log2 > e)
            pairs = len(sums) >> 1
            sums = list(pipeline.stage([
                Mux(join, sums[2 * r] + sums[2 * r + 1], sums[r]) if r < pairs else sums[r]
                for r in range(c.slices)
            ], f"sum_level{e}_"))
        for r in range(c.lanes):
            m.d.comb += self.scores[r].eq(resize(sums[r], signed(c.score_bits)))
        return m
