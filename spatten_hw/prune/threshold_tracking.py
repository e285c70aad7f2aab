"""Where the threshold of the next pruning will be: predicted from vector to vector while probabilities arrive."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from .rows import DIGIT_BITS, key_bits, pruning_params, tie_bits

#: Values of a digit, from the predicted one on, whose tokens are candidates: the totals grow until the next vector.
SPAN = 4
#: Cycles that the parameters must have been the same before a vector begins: protected tokens follow within these.
STEADY_CYCLES = 6
#: What follows from the threshold's digit: how much the window is raised, and the digit then.
NEXT = {0: (-4, 0), 1: (-3, 8), **{d: (-2, 4 * d) for d in (2, 3)}, **{d: (-1, 2 * d) for d in (4, 5, 6)},
        **{d: (0, d) for d in range(7, 14)}, 14: (1, 7), 15: (1, 7)}


class ThresholdTracking(wiring.Component):
    """In generation every vector of probabilities goes over the totals of all survivors, so it can count digits just as
    a pass of the search does, and collect candidates, if it is known what to look for. That is predicted: `next` is the
    pruning that will probably follow (the next job's, if it has been read).

    A vector counts the digit at bit `window` of the keys, 4 bits, and collects the tokens with a digit of `low` to
    `high`. `opens` in the cycle before its first row, which takes over the `window`, `closes` with its last. Some
    cycles later it is `decided`, while the next vector may already be under way: the threshold has this `digit`, or is
    `higher` than all of them. From that the next window is chosen, one that gives digits of 7 to 13, and the digit
    then; the threshold of the same tokens can only rise.

    `ready`: the last vector found the threshold's digit among the candidates, for just the parameters of `job`, and
    nothing has changed since (`spoil`). `params`: those of `next` (while `follow`), or of the `job` since `start`.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.lowest, self.highest = tie_bits(c), key_bits(c) - DIGIT_BITS - 1
        super().__init__({
            "next": In(pruning_params(c)), "follow": In(1), "job": In(pruning_params(c)), "start": In(1),
            "params": Out(pruning_params(c)),
            "opens": In(1), "closes": In(1), "decided": In(1), "digit": In(DIGIT_BITS), "higher": In(1), "spoil": In(1),
            "window": Out(range(key_bits(c))), "low": Out(DIGIT_BITS), "high": Out(DIGIT_BITS), "ready": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        params = Signal(pruning_params(c))
        steady = Signal(STEADY_CYCLES)
        same = Signal()
        matches = Signal(name="matches_job")
        m.d.comb += [self.params.eq(params), same.eq(~self.follow | (params == self.next))]
        m.d.sync += [steady.eq(Cat(same, steady)[:STEADY_CYCLES]), matches.eq(params == self.job)]
        with m.If(self.start):
            m.d.sync += params.eq(self.job)
        with m.Elif(self.follow):
            m.d.sync += params.eq(self.next)

        # `aim`, `center`: window and first digit of the next vector; `used`, `judged`: windows of the one under way and
        # of the one before, which is decided (vectors of a few rows may be mistaken for each other, here only).
        aim = Signal(range(key_bits(c)), init=(self.lowest + self.highest) // 2)
        center = Signal(DIGIT_BITS)
        used, judged = (Signal(range(key_bits(c)), name=name, reset_less=True) for name in ("used", "judged"))
        step = Signal(range(-4, 5))
        then = Signal(DIGIT_BITS)
        moved = Signal(range(-4, key_bits(c) + 4))
        m.d.comb += [self.window.eq(aim), step.eq(4), then.eq(1),
                     moved.eq((judged + step)[:len(moved)].as_signed())]
        with m.If(~self.higher), m.Switch(self.digit):
            for digit, (raised, following) in NEXT.items():
                with m.Case(digit):
                    m.d.comb += [step.eq(raised), then.eq(following)]
        with m.If(self.decided):
            limited = Mux(moved < self.lowest, self.lowest, Mux(moved > self.highest, self.highest, moved))
            m.d.sync += [aim.eq(limited[:len(aim)]),      # not negative: between lowest and highest
                         center.eq(Mux((moved < self.lowest) & ~self.higher, self.digit, then))]

        whole = Signal()
        found = Signal()
        with m.If(self.decided):
            m.d.sync += found.eq(whole & ~self.higher & (self.digit >= self.low) & (self.digit <= self.high))
        with m.If(self.opens):
            m.d.sync += [
                used.eq(aim), self.low.eq(center), whole.eq(steady.all()),
                self.high.eq(Mux(center > Const((1 << DIGIT_BITS) - SPAN), (1 << DIGIT_BITS) - 1, center + SPAN - 1)),
            ]
        with m.If(self.closes):
            m.d.sync += judged.eq(used)
        with m.If(self.spoil | ~same):
            m.d.sync += [whole.eq(0), found.eq(0)]
        m.d.comb += self.ready.eq(found & matches)
        contract(m, (aim >= self.lowest) & (aim <= self.highest), "a window lies among the bits of totals")
        return m
