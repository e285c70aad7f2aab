"""What was dropped is given back: by how much the probabilities kept fall short of all."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import delay
from ..primitives.rounding import guarded_shift, round_guarded, rounds_up, sticky_shift
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow, saturate_unsigned, wrap
from ..stream.fifo import StreamFifo
from ..stream.layouts import RATIO_BITS, RATIO_FRACTION, kept_ratio
from .sum_bins import MASS_BITS

#: The sum of the kept is inverted as the softmax inverts its own: to 2^33 / t, t with this many bits.
T_BITS, INVERSE_BITS = 17, 18
#: What is left of the shift of Σp·inverse when its part that does not depend on the sum is taken out.
FIXED_SHIFT = T_BITS - RATIO_FRACTION
#: Vectors that may be on their way to their ratio.
QUEUE = 8


class GiveBack(wiring.Component):
    """r = Σp / Σkept p of every vector, 14 fraction bits, rounded half to even twice, saturated to 18 bits.

    `enters`, only while there is `room`: one more vector is going to come. `valid`: a row of it, with its `probs`,
    those in `kept` kept; `last`: its last, whose item is `item`. `o`: `kept_ratio`, in order; `same`: all probability
    was kept, and `r` means nothing. One division, a bit per cycle: `CYCLES` per vector, 2 if it is the same.
    """

    #: Cycles per vector: leading one, shift, first bit; division; rounded, times Σp, shifted, rounded, offered.
    CYCLES = 3 + INVERSE_BITS + 5

    enters: Signal
    room: Signal
    valid: Signal
    probs: data.View
    kept: Signal
    last: Signal
    item: Signal
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "valid": In(1), "probs": In(data.ArrayLayout(unsigned(PROB_BITS), c.slices)), "kept": In(c.slices),
            "last": In(1), "item": In(c.item_bits), "enters": In(1), "room": Out(1),
            "o": Out(stream.Signature(kept_ratio(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        vector = self._sums(m)
        self._divide(m, vector)
        return m

    def _sums(self, m: Module) -> stream.Interface:
        """Both sums of every vector."""
        c, levels = self.config, tree_stages(self.config.slices)
        here = Signal(self.probs.shape(), reset_less=True)
        chosen = Signal(self.probs.shape(), reset_less=True)
        m.d.sync += here.eq(self.probs)
        m.d.sync += [chosen[s].eq(Mux(self.kept[s], self.probs[s], 0)) for s in range(c.slices)]
        valid = delay(m, self.valid, 1 + levels, "summed", reset=True)
        last = delay(m, self.last, 1 + levels, "summed_last")
        layout = data.StructLayout({"item": c.item_bits, "total": MASS_BITS, "kept": MASS_BITS})
        m.submodules.queue = queue = StreamFifo(layout, QUEUE)
        entered = Signal(range(QUEUE + 1))
        begun = Signal()
        opened = Signal()
        m.d.comb += self.room.eq(entered != QUEUE)
        m.d.sync += [entered.eq(entered + self.enters - (self.o.valid & self.o.ready)), opened.eq(valid & last)]
        with m.If(valid):
            m.d.sync += begun.eq(~last)
        for name, row in (("total", here), ("kept", chosen)):
            sum_ = Signal(MASS_BITS, name=f"{name}_sum", reset_less=True)
            row_sum = adder_tree(m, list(row), f"{name}_row")
            with m.If(valid):
                m.d.sync += sum_.eq(wrap(Mux(begun, sum_, 0) + row_sum, MASS_BITS))
            m.d.comb += queue.i.p[name].eq(sum_)
        m.d.comb += [
            queue.i.valid.eq(opened), queue.i.p.item.eq(delay(m, self.item, 2 + levels, "summed_item")),
        ]
        always_taken(m, queue.i, "sums of vectors")
        contract(m, self.room, "a vector enters only while there is room", when=self.enters)
        contract(m, entered != 0, "only vectors that entered have sums", when=opened)
        return queue.o

    def _divide(self, m: Module, vector: stream.Interface) -> None:
        """`o` of the vector, which is shown until it is taken."""
        total, kept = vector.p.total, vector.p.kept
        k_bits = (MASS_BITS - 1).bit_length()
        up = Signal(k_bits, reset_less=True)            # shifts until the leading one is on top: k = top − up
        k = Signal(k_bits, reset_less=True)
        t = Signal(T_BITS, reset_less=True)
        remainder = Signal(T_BITS, reset_less=True)
        quotient = Signal(INVERSE_BITS + 1, reset_less=True)
        inverse = Signal(INVERSE_BITS, reset_less=True)
        product = Signal(MASS_BITS + INVERSE_BITS, reset_less=True)
        moved = Signal(len(product) - FIXED_SHIFT + 2, reset_less=True)
        r = Signal(RATIO_BITS, reset_less=True)
        same = Signal(reset_less=True)
        step = Signal(range(INVERSE_BITS))
        shifted = Signal(T_BITS + 1)
        fits = Signal()
        one = Signal()
        m.d.comb += [
            shifted.eq(Cat(Const(0, 1), remainder)), fits.eq(shifted >= t), one.eq(t == 1 << T_BITS - 1),
            self.o.p.item.eq(vector.p.item), self.o.p.r.eq(r), self.o.p.same.eq(same),
        ]

        def state(name: str, following: str, *assignments: Value) -> None:
            with m.State(name):
                m.d.sync += assignments
                m.next = following

        with m.FSM(name="divide"):
            with m.State("IDLE"):
                m.d.sync += same.eq(total == kept)
                with m.If(kept[-1]):
                    m.d.sync += up.eq(0)
                for n in range(1, MASS_BITS):
                    with m.Elif(kept[-1 - n]):
                        m.d.sync += up.eq(n)
                with m.If(vector.valid):
                    m.next = "OFFER"
                    with m.If(total != kept):
                        m.next = "NORMALISE"
            state("NORMALISE", "BEGIN",
                  t.eq(narrow(kept << up, MASS_BITS) << T_BITS - MASS_BITS), k.eq(MASS_BITS - 1 - up))
            # 2^33 = 2^16·2^17: the first step checks whether t fits into 2^16, each other one appends a zero.
            state("BEGIN", "DIVIDE",
                  remainder.eq(Mux(one, 0, 1 << T_BITS - 1)), quotient.eq(one), step.eq(INVERSE_BITS - 1))
            with m.State("DIVIDE"):
                m.d.sync += [
                    remainder.eq(narrow(Mux(fits, shifted - t, shifted), T_BITS)),
                    quotient.eq(Cat(fits, quotient[:-1])), step.eq(step - 1),
                ]
                with m.If(step == 0):
                    m.next = "ROUND"
            # The quotient ends in the half bit, the remainder is what lies below it.
            state("ROUND", "MULTIPLY", inverse.eq(narrow(
                quotient[1:] + rounds_up(quotient[0], remainder != 0, quotient[1]), INVERSE_BITS)))
            state("MULTIPLY", "SHIFT", product.eq(total * inverse))
            state("SHIFT", "SATURATE", moved.eq(sticky_shift(m, guarded_shift(product, FIXED_SHIFT), k, 1, "by_k")))
            state("SATURATE", "OFFER", r.eq(saturate_unsigned(round_guarded(moved), RATIO_BITS)))
            with m.State("OFFER"):
                m.d.comb += [self.o.valid.eq(1), vector.ready.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        contract(m, (kept != 0) | (total == 0), "something of weight is kept if there is any", when=vector.valid)
        contract(m, kept <= total, "no more is kept than there is", when=vector.valid)
