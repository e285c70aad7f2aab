"""The Prob×V multiplier array: S slices of `min_dim` multipliers, trees over lanes, accumulators."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig, clog2
from ..contract import contract, contracts_on
from ..primitives.pipeline import PART, Pipeline, copies
from ..primitives.registers import payload_register
from ..primitives.tree import LEVELS_PER_STAGE, tree_stages
from ..primitives.widths import wrap
from ..stream.job_layouts import dim_case, job_layout
from ..stream.layouts import acc_row, tag_layout


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

    i: one step per cycle, `last` ends the vector and the next step begins another. o: D exact sums; elements
    from D on are 0. One row can wait on `o` while the next vector accumulates: until it is taken, the array stalls when
    that vector's last step is in front of the accumulators. `i.ready` is a register, and so is every enable: computed a
    cycle ahead, with one copy per part, since no net reaches all of the array in a cycle. So a row that ends in the
    cycle after another waits for a cycle.

    | stage | registers | method |
    |---|---|---|
    | 1 | V rows beside the memory; the probability of each slice | `_products` |
    | 2 | V rows and probabilities beside the multipliers | |
    | 3 | products | |
    | 4 … | sums over the rows of a step, two adder levels each | `_tree`, `_fold` |
    | last | sums over the steps of the vector; its row on `o` | `_accumulate` |

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
        depth = 3 + tree_stages(c.slices)
        valid = Signal(depth)
        last = Signal(depth - 1)
        finish = Signal()       # a vector's last step is in front of the accumulators
        waiting = Signal()      # a row is on `o`
        finish_next = Signal()
        waiting_next = Signal()
        parts = -(-c.max_dim // PART)
        array = Pipeline.ahead(m, ~(finish_next & waiting_next), c.slices + parts, "enable", init=1)
        store = Pipeline.ahead(m, finish_next & ~waiting_next, parts, "store")
        m.d.comb += [
            finish_next.eq(Mux(array.enable, valid[-2] & last[-1], finish)),
            waiting_next.eq(store.enable | (waiting & ~self.o.ready)),
        ]
        m.d.sync += [finish.eq(finish_next), waiting.eq(waiting_next)]
        tags = [Signal(tag_layout(c), name=f"tag{i}", reset_less=True) for i in range(depth)]
        with m.If(array.enable):
            m.d.sync += [valid.eq(Cat(self.i.valid, valid[:-1])), last.eq(Cat(self.i.p.last, last[:-1]))]
            m.d.sync += [b.eq(a) for a, b in zip([self.i.p.tag, *tags[:-1]], tags, strict=True)]

        step_sum = self._tree(m, array, self._products(m, array))
        fresh = self._accumulate(m, array, store, valid[-1], finish, step_sum, tags[-1])
        m.d.comb += [
            self.i.ready.eq(array.enable),
            self.o.valid.eq(waiting),
            self.busy.eq(valid.any() | ~fresh | self.o.valid),
        ]
        contract(m, Cat(part == array.enable for part in array.parts).all(), "every part sees the same enable")
        self._contracts(m)
        return m

    def _products(self, m: Module, array: Pipeline) -> list[list[Value]]:
        """Stages 1 to 3: for each slice, `min_dim` products of a row's elements with the row's probability."""
        c = self.config
        products: list[list[Value]] = []
        for s in range(c.slices):
            slice_ = array.part(s)
            prob = Signal(PROB_BITS, name=f"prob{s}", reset_less=True)
            with m.If(slice_.enable), m.Switch(self.job.dim_log2):
                for e in range(clog2(c.max_dim // c.min_dim) + 1):
                    with dim_case(m, c, e):
                        # A cycle without a step adds 0, so the accumulators' enable need not depend on valid.
                        m.d.sync += prob.eq(Mux(self.i.valid, self.i.p.probs[s >> e], 0))
            # Two stages: the first registers can be placed at the memory, the second ones at the multipliers.
            value = slice_.delay(self.i.p.values[s], 2, f"value{s}")
            probs = slice_.copies(prob, -(-c.min_dim // PART), f"operand{s}_prob")
            products.append(list(slice_.stage(
                [probs[i // PART] * value.word_select(i, c.operand_bits).as_signed() for i in range(c.min_dim)],
                f"product{s}_")))
        return products

    def _tree(self, m: Module, array: Pipeline, terms: list[list[Value]]) -> list[Value]:
        """`tree_stages` stages: the sums of this step's rows, element by element."""
        level, width = 0, self.config.slices
        while width > 1:
            terms = self._fold(m, terms, width // 2, level)
            level, width = level + 1, width // 2
            if level % LEVELS_PER_STAGE == 0 or width == 1:
                terms = [list(array.part(j).stage(t, f"sum_level{level}_{j}_")) for j, t in enumerate(terms)]
        return [t for block in terms for t in block]

    def _fold(self, m: Module, terms: list[list[Value]], half: int, level: int) -> list[list[Value]]:
        """Adds slice j + half to slice j (they hold the same elements of different rows), unless D spans more
        than `half` slices; slices folded away become 0."""
        if half >= self.config.max_dim // self.config.min_dim:
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

    def _accumulate(self, m: Module, array: Pipeline, store: Pipeline, valid: Value, finish: Signal,
                    step_sum: list[Value], tag: data.View) -> Signal:
        """The last stage: sums over the steps of a vector, and its row on `o` when they are complete. Returns whether
        no vector is being accumulated."""
        c = self.config
        parts = -(-c.max_dim // PART)
        fresh_next = Signal(init=1)
        fresh, *freshes = copies(m, fresh_next, 1 + parts, "fresh", init=1)
        m.d.comb += fresh_next.eq(Mux(array.enable & valid, finish, fresh))
        out = payload_register(m, self.o.payload, "out")
        with m.If(store.enable):
            m.d.sync += out.tag.eq(tag)
        for d in range(c.max_dim):
            acc = Signal(signed(c.acc_bits), name=f"acc{d}", reset_less=True)
            total = Signal(signed(c.acc_bits), name=f"total{d}")
            # The vector's sum fits acc_bits, so arithmetic modulo 2^acc_bits is exact in the end.
            m.d.comb += total.eq(wrap(Mux(freshes[d // PART], 0, acc) + step_sum[d], c.acc_bits).as_signed())
            with m.If(array.part(c.slices + d // PART).enable):
                m.d.sync += acc.eq(total)
            with m.If(store.part(d // PART).enable):
                m.d.sync += out.acc[d].eq(total)
        return fresh

    def _contracts(self, m: Module) -> None:
        """Conditions on the steps of a vector, so that its sums fit."""
        if not contracts_on():
            return
        c = self.config
        dim_before = Signal.like(self.job.dim_log2)
        begun, so_far, total_prob = Signal(), Signal(c.acc_bits), Signal(c.acc_bits + 1)
        m.d.sync += dim_before.eq(self.job.dim_log2)
        # Lane j is live for every D with more than j rows per cycle.
        live = [self.job.dim_log2 < sum(j < c.rows_per_cycle(dim) for dim in c.dims) for j in range(c.lanes)]
        added = sum(Mux(alive, prob, 0) for alive, prob in zip(live, self.i.p.probs, strict=True))
        m.d.comb += total_prob.eq(Mux(begun, so_far, 0) + added)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [begun.eq(~self.i.p.last), so_far.eq(total_prob)]
        contract(m, self.job.dim_log2 == dim_before, "D holds still while a vector is inside", when=self.busy)
        contract(m, total_prob <= (1 << PROB_BITS) + c.max_tokens, "the sum of a vector's probabilities fits",
                 when=self.i.valid)
