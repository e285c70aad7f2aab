"""Finds one digit of a vector's k-th largest key: counts per digit, then the decision."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract import at_most_one, contract
from ..primitives.adder_tree import balanced_sum
from ..primitives.one_hot import one_hot_index, one_hot_mux


class DigitHistogram(wiring.Component):
    """The digit of the k-th largest member of a vector, from rows of the members' digits.

    In, one row per cycle without a gap between vectors: `valid`, `first` and `last` row of a vector, `digits`
    (0 in lanes that are not members), `balance` = −k on the first row. `LATENCY` cycles after the last row `done` is
    high with `digit` and `left` = −k' (combinational from registers: five to six LUTs deep for 4 bits): the k-th
    largest member is the k'-th largest of those with that digit. If there are fewer than k members the digit is 0.

    For every digit b ≥ 1 a counter that starts at −k counts the members of digit *at least* b. So no sum over
    larger digits is needed: its sign says whether b is reached, and if not, its value is what is left of −k.
    Members of digit 0 need no counter, so lanes that are not members may be 0.
    """

    LATENCY = 2
    #: Counts per row and digit between the two registers, so that the adder trees before and behind have similar depth.
    PARTS = 4

    valid: Signal
    first: Signal
    last: Signal
    balance: Signal
    digits: data.View
    done: Signal
    digit: Signal
    left: Signal

    def __init__(self, digit_bits: int, lanes: int, count_bits: int):
        self.digit_bits = digit_bits
        self.lanes = lanes
        self.count_bits = count_bits
        super().__init__({
            "valid": In(1), "first": In(1), "last": In(1), "balance": In(signed(count_bits + 1)),
            "digits": In(data.ArrayLayout(unsigned(digit_bits), lanes)),
            "done": Out(1), "digit": Out(digit_bits), "left": Out(signed(count_bits + 1)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        balance_shape = signed(self.count_bits + 1)
        bins = range(1, 1 << self.digit_bits)
        span = -(-self.lanes // self.PARTS)
        parts = [range(lane, min(lane + span, self.lanes)) for lane in range(0, self.lanes, span)]

        # First register: how many digits of each part of the row are at least b.
        row_valid = Signal()
        row_first = Signal()
        row_last = Signal()
        row_balance = Signal(balance_shape, reset_less=True)
        m.d.sync += [
            row_valid.eq(self.valid), row_first.eq(self.first), row_last.eq(self.last), row_balance.eq(self.balance),
        ]
        row_counts = []
        for b in bins:
            counts = [Signal(len(part).bit_length(), name=f"count_{b}_{p}", reset_less=True)
                      for p, part in enumerate(parts)]
            reaches = Signal(self.lanes, name=f"reaches_{b}")
            m.d.comb += reaches.eq(Cat(digit >= b for digit in self.digits))
            with m.If(self.valid):
                m.d.sync += [count.eq(balanced_sum([reaches[j] for j in part]))
                             for count, part in zip(counts, parts, strict=True)]
            row_counts.append(counts)

        # Second register: the sums. A vector's first row overwrites them, so they need not be cleared in between.
        opening = Signal(balance_shape, reset_less=True)
        reaching = [Signal(balance_shape, name=f"balance_{b}", reset_less=True) for b in bins]
        m.d.sync += self.done.eq(row_valid & row_last)
        with m.If(row_valid):
            for sum_b, counts in zip(reaching, row_counts, strict=True):
                m.d.sync += sum_b.eq(Mux(row_first, row_balance, sum_b) + balanced_sum(counts))
            with m.If(row_first):
                m.d.sync += opening.eq(row_balance)

        # The largest digit that is reached, and the balance of the one above it.
        reached = Signal(len(bins))
        chosen = Signal(len(bins) + 1)
        m.d.comb += [
            reached.eq(Cat(~sum_b[-1] for sum_b in reaching)),
            # Reached digits are the lower ones: one bit differs from its neighbour.
            chosen.eq(Cat(1, reached) & ~Cat(reached, 0)),
            self.digit.eq(one_hot_index(chosen)),
            self.left.eq(one_hot_mux(chosen, [*reaching, opening]).as_signed()),
        ]
        contract(m, at_most_one(chosen), "one digit is chosen", when=self.done)
        contract(m, self.balance < 0, "k is at least 1", when=self.valid & self.first)
        contract(m, self.left < 0, "what is left of k is at least 1", when=self.done)
        return m
