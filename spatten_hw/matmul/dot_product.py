"""Exact dot products, chunk by chunk: N multipliers, an adder tree, and a partial sum per member of a gang."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import Pipeline
from ..primitives.registers import NO_COLLISIONS
from ..primitives.tree import tree_stages
from ..primitives.widths import resize
from ..stream.layouts import score_write
from .issue import place_layout


def dot_product_latency(c: SpAttenConfig) -> int:
    """Cycles from the last chunk of a row at the inputs to its score: operand registers, product registers, registers
    of the tree, accumulator."""
    return 3 + tree_stages(c.chunk)


class DotProduct(wiring.Component):
    """Σ k·q over the chunks of a row, exact; a chunk per cycle, `dot_product_latency` cycles from the last one to `o`.

    k, q: N signed elements each, with `valid`. place: of this product; `first` begins a sum, `last` completes it. Only
        one row is summed at a time. The chunks of a row's member that is `alone` follow each other without products of
        others between them; else two products of a member are at least two cycles apart.
    o: always taken.

    A single member's sum stays in the adder's register; those of several members wait in a memory, read a cycle before
    their next product: the loop is one addition.
    """

    valid: Signal
    place: data.View
    k: Signal
    q: Signal
    o: stream.Interface
    busy: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "valid": In(1), "place": In(place_layout(c)),
            "k": In(c.chunk * c.operand_bits), "q": In(c.chunk * c.operand_bits),
            "o": Out(stream.Signature(score_write(c))),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        pipeline = Pipeline(m)
        operands = [pipeline.stage([x.word_select(e, c.operand_bits).as_signed() for e in range(c.chunk)], name)
                    for x, name in ((self.k, "k_"), (self.q, "q_"))]
        products = pipeline.stage([k * q for k, q in zip(*operands, strict=True)], "product")
        chunk_sum = adder_tree(m, products, "tree")

        # Valid bits and places beside the products: [0] with the operand registers, [-1] with the sum of the chunk.
        steps = dot_product_latency(c) - 1
        valids = [self.valid]
        places = [self.place]
        for n in range(steps):
            valids.append(pipeline.flag(valids[-1], 1, f"valid{n}"))
            places.append(pipeline.delay(places[-1], 1, f"place{n}"))
        valid, place, before = valids[-1], places[-1], places[-2]

        total = Signal(signed(c.score_bits), reset_less=True)
        so_far = Signal(signed(c.score_bits))
        sum_now = Signal(signed(c.score_bits))
        if c.max_chunks > 1:
            others = total
            if c.max_group > 1:
                m.submodules.sums = sums = Memory(shape=signed(c.score_bits), depth=c.max_group, init=[],
                                                  attrs=NO_COLLISIONS)
                write, read = sums.write_port(), sums.read_port(transparent_for=())
                m.d.comb += [
                    write.addr.eq(place.member), write.data.eq(sum_now), write.en.eq(valid),
                    read.addr.eq(before.member), read.en.eq(1),
                ]
                others = read.data
                contract(m, ~valids[-2] | before.first | before.alone | (place.member != before.member),
                         "a partial sum is stored before it is read", when=valid)
            m.d.comb += so_far.eq(Mux(place.first, 0, Mux(place.alone, total, others)))
        else:
            contract(m, place.first & place.last, "a row is one chunk", when=valid)
        exact = Signal(signed(c.score_bits + 1))
        m.d.comb += [
            exact.eq(so_far + resize(chunk_sum, signed(c.score_bits))),
            # The whole sum of a row fits, and so does every part of it.
            sum_now.eq(exact[:c.score_bits].as_signed()),
        ]
        contract(m, exact == sum_now, "a sum fits a score", when=valid)

        done = Signal()
        about = Signal(place_layout(c), reset_less=True)
        with m.If(valid):
            m.d.sync += total.eq(sum_now)
        m.d.sync += [done.eq(valid & place.last), about.eq(place)]
        m.d.comb += [
            self.o.valid.eq(done),
            self.o.p.score.eq(total),
            self.o.p.slot.eq(about.slot),
            self.o.p.row.eq(about.row),
            self.o.p.replay.eq(about.replay),
            self.busy.eq(done),
        ]
        for stage in valids:
            with m.If(stage):
                m.d.comb += self.busy.eq(1)
        always_taken(m, self.o, "scores of a slice")
        return m
