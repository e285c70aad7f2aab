"""The Prob×V multiplier array: S slices of `min_dim` multipliers, trees over lanes, accumulators."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig, clog2
from ..contract import contract, contracts_on
from ..stream.job_layouts import dim_case, job_layout
from ..stream.layouts import acc_row, tag_layout
from ..stream.registers import PART, copies, payload_register
from .pipeline import LEVELS_PER_STAGE, register, tree_stages


def value_array_latency(c: SpAttenConfig) -> int:
    """Cycles from taking a vector's last step to its row on `o`: two operand registers, product register, tree,
    accumulator."""
    return 4 + tree_stages(c.slices)


def weighted_layout(c: SpAttenConfig) -> data.StructLayout:
    """R rows of V, placed as in `operand_row`, and the probability of each lane (0: the lane adds nothing)."""
    return data.StructLayout({
        "probs": data.ArrayLayout(unsigned(PROB_BITS), c.lanes),
        "values": data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), c.slices),
        "last": 1, "tag": tag_layout(c),
    })


class ValueArray(wiring.Component):
    """Exact Σ p·v over the steps of a vector, R rows of V per cycle.

    i: one step per cycle, `last` ends the vector and the next step begins another. o: D exact sums, elements
    from D on 0. One row waits beside the running accumulation: while it is there, the array freezes with the last step
    of the next vector before its accumulators. `i.ready` is a register, and so is every enable: known a cycle ahead
    and there once for every part, since no net reaches all of the array in a cycle. So a row that ends in the cycle
    after another waits for a cycle.

    Valid input: Σ p ≤ 4096 + max_tokens over a vector (`acc_bits`). (SpAtten, section IV-G: D trees of M/D.)
    """

    job: data.View
    i: stream.Interface
    o: stream.Interface
    busy: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)),
            "i": In(stream.Signature(weighted_layout(c))),
            "o": Out(stream.Signature(acc_row(c))),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        blocks = c.max_dim // c.min_dim
        depth = 3 + tree_stages(c.slices)
        valid = Signal(depth)
        last = Signal(depth - 1)
        finish = Signal()       # a vector's last step is in front of the accumulators
        waiting = Signal()      # a row is on `o`
        finish_next = Signal()
        waiting_next = Signal()
        parts = -(-c.max_dim // PART)
        en, *ens = copies(m, ~(finish_next & waiting_next), 1 + c.slices + parts, "enable", init=1)
        slice_en, part_en = ens[:c.slices], ens[c.slices:]
        store, *stores = copies(m, finish_next & ~waiting_next, 1 + parts, "store")
        m.d.comb += [
            finish_next.eq(Mux(en, valid[-2] & last[-1], finish)),
            waiting_next.eq(store | (waiting & ~self.o.ready)),
        ]
        m.d.sync += [finish.eq(finish_next), waiting.eq(waiting_next)]

        terms: list[list[Value]] = []
        for s in range(c.slices):
            value = Signal(c.min_dim * c.operand_bits, name=f"value{s}", reset_less=True)
            prob = Signal(PROB_BITS, name=f"prob{s}", reset_less=True)
            with m.If(slice_en[s]):
                m.d.sync += value.eq(self.i.p.values[s])
                with m.Switch(self.job.dim_log2):
                    for e in range(clog2(blocks) + 1):
                        with dim_case(m, c, e):
                            # A cycle without a step adds nothing, so the accumulators need not know of it.
                            m.d.sync += prob.eq(Mux(self.i.valid, self.i.p.probs[s >> e], 0))
            # Once more: the first registers may stay with the memory, and these go to the multipliers.
            value, = register(m, slice_en[s], [value], f"operand{s}_")
            probs = copies(m, prob, -(-c.min_dim // PART), f"operand{s}_prob", en=slice_en[s], reset=False)
            products = [probs[i // PART] * value.word_select(i, c.operand_bits).as_signed() for i in range(c.min_dim)]
            terms.append(list(register(m, slice_en[s], products, f"product{s}_")))

        level = 0
        width = c.slices
        while width > 1:
            terms = self._fold(m, terms, width // 2, blocks, level)
            level, width = level + 1, width // 2
            if level % LEVELS_PER_STAGE == 0 or width == 1:
                terms = [list(register(m, slice_en[j], t, f"sum_level{level}_{j}_")) for j, t in enumerate(terms)]
        step_sum = [t for block in terms for t in block]

        tags = [Signal(tag_layout(c), name=f"tag{i}", reset_less=True) for i in range(depth)]
        with m.If(en):
            m.d.sync += [valid.eq(Cat(self.i.valid, valid)), last.eq(Cat(self.i.p.last, last))]
            m.d.sync += [b.eq(a) for a, b in zip([self.i.p.tag, *tags[:-1]], tags, strict=True)]

        fresh_next = Signal(init=1)
        fresh, *freshes = copies(m, fresh_next, 1 + parts, "fresh", init=1)
        out = payload_register(m, self.o.payload, "out")
        m.d.comb += [
            fresh_next.eq(Mux(en & valid[-1], finish, fresh)),
            self.i.ready.eq(en),
            self.o.valid.eq(waiting),
            self.busy.eq(valid.any() | ~fresh | self.o.valid),
        ]
        with m.If(store):
            m.d.sync += out.tag.eq(tags[-1])
        for d in range(c.max_dim):
            acc = Signal(signed(c.acc_bits), name=f"acc{d}", reset_less=True)
            total = Signal(signed(c.acc_bits), name=f"total{d}")
            # The vector's sum fits acc_bits, so arithmetic modulo 2^acc_bits is exact in the end.
            m.d.comb += total.eq(Mux(freshes[d // PART], 0, acc) + step_sum[d])
            with m.If(part_en[d // PART]):
                m.d.sync += acc.eq(total)
            with m.If(stores[d // PART]):
                m.d.sync += out.acc[d].eq(total)
        contract(m, Cat(part == en for part in ens).all(), "every part sees the same enable")
        if contracts_on():
            dim_before = Signal.like(self.job.dim_log2)
            begun, so_far, total_prob = Signal(), Signal(c.acc_bits), Signal(c.acc_bits + 1)
            m.d.sync += dim_before.eq(self.job.dim_log2)
            # Lane j belongs to a row up to the largest D of which so many rows fit.
            live = [self.job.dim_log2 < sum(j < c.rows_per_cycle(dim) for dim in c.dims) for j in range(c.lanes)]
            added = sum(Mux(alive, prob, 0) for alive, prob in zip(live, self.i.p.probs, strict=True))
            m.d.comb += total_prob.eq(Mux(begun, so_far, 0) + added)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [begun.eq(~self.i.p.last), so_far.eq(total_prob)]
            contract(m, self.job.dim_log2 == dim_before, "D holds still while a vector is inside", when=self.busy)
            contract(m, total_prob <= (1 << PROB_BITS) + c.max_tokens, "the sum of a vector's probabilities fits",
                     when=self.i.valid)
        return m

    def _fold(self, m: Module, terms: list[list[Value]], half: int, blocks: int,
              level: int) -> list[list[Value]]:
        """Adds slice j + half to slice j (they hold the same elements of different rows), unless D spans more
        than `half` slices; slices folded away become 0."""
        if half >= blocks:
            return [[a + b for a, b in zip(terms[j], terms[j + half], strict=True)] for j in range(half)]
        fold = Signal(name=f"fold_level{level}")
        m.d.comb += fold.eq(self.job.dim_log2 <= clog2(half))
        folded = []
        for j, block in enumerate(terms):
            if j < half:
                folded.append([Mux(fold, a + b, a) for a, b in zip(block, terms[j + half], strict=True)])
            elif j < 2 * half:
                folded.append([Mux(fold, 0, a) for a in block])
            else:
                folded.append(block)
        return folded
