"""The first digit in which a vector's k-th largest key is sought: counts per digit, then the decision."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class DigitHistogram(wiring.Component):
    """The digit of the k-th largest member of a vector, from rows of the members' digits.

    In, one row per cycle without a gap between vectors: `valid`, `first` and `last` row of a vector, `digits`
    (lanes that are not members 0), `balance` = −k on the first row, any `about` on the last. `LATENCY`
    enabled cycles after the last row `done` is high with `digit`, `left` = −k' and `done_about`: the k-th
    largest member is the k'-th largest of those with that digit. Nothing moves without `enable`. If there are
    fewer than k members the digit is 0.

    For every digit b ≥ 1 a counter that starts at −k counts the members of digit *at least* b: that makes the
    sum over larger digits unnecessary, its sign says whether b is reached, and its value is what is left when
    b is not. Members of digit 0 need no counter, so lanes that are not members may pass as 0.
    """

    LATENCY = 3

    enable: Signal
    valid: Signal
    first: Signal
    last: Signal
    balance: Signal
    about: Signal
    digits: data.View
    done: Signal
    digit: Signal
    left: Signal
    done_about: Signal

    def __init__(self, digit_bits: int, lanes: int, count_bits: int, about_bits: int):
        self.digit_bits = digit_bits
        self.lanes = lanes
        self.count_bits = count_bits
        self.about_bits = about_bits
        super().__init__({
            "enable": In(1), "valid": In(1), "first": In(1), "last": In(1),
            "balance": In(signed(count_bits + 1)), "about": In(about_bits),
            "digits": In(data.ArrayLayout(unsigned(digit_bits), lanes)),
            "done": Out(1), "digit": Out(digit_bits), "left": Out(signed(count_bits + 1)),
            "done_about": Out(about_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        balance_shape = signed(self.count_bits + 1)
        bins = range(1, 1 << self.digit_bits)

        # First register: how many of the row's digits are at least b.
        row_valid = Signal()
        row_first = Signal()
        row_last = Signal()
        row_balance = Signal(balance_shape)
        row_about = Signal(self.about_bits)
        row_count = [Signal(self.lanes.bit_length(), name=f"row_count_{b}") for b in bins]
        with m.If(self.enable):
            m.d.sync += [
                row_valid.eq(self.valid), row_first.eq(self.first), row_last.eq(self.last),
                row_balance.eq(self.balance), row_about.eq(self.about),
            ]
            for b, count in zip(bins, row_count, strict=True):
                m.d.sync += count.eq(_ones([self.digits[j] >= b for j in range(self.lanes)]))

        # Second register: added up. A first row starts anew, so nothing has to be cleared between vectors.
        complete = Signal()
        complete_about = Signal(self.about_bits)
        opening = Signal(balance_shape)
        reaching = [Signal(balance_shape, name=f"balance_{b}") for b in bins]
        with m.If(self.enable):
            m.d.sync += [complete.eq(row_valid & row_last), complete_about.eq(row_about)]
            with m.If(row_valid):
                for sum_b, count in zip(reaching, row_count, strict=True):
                    m.d.sync += sum_b.eq(Mux(row_first, row_balance, sum_b) + count)
                with m.If(row_first):
                    m.d.sync += opening.eq(row_balance)

        # Third register: the largest digit that is reached, and the balance of the one above it.
        reached = Signal(len(bins))
        chosen = Signal(len(bins) + 1)
        chosen_digit = Signal(self.digit_bits)
        chosen_left = Signal(balance_shape)
        m.d.comb += [
            reached.eq(Cat(~sum_b[-1] for sum_b in reaching)),
            # Reached digits are the lower ones: one bit differs from its neighbour.
            chosen.eq(Cat(1, reached) & ~Cat(reached, 0)),
            chosen_digit.eq(_any(Mux(chosen[b], b, 0) for b in bins)),
            chosen_left.eq(_any(Mux(one, above.as_unsigned(), 0)
                                for one, above in zip(chosen, [*reaching, opening], strict=True))),
        ]
        with m.If(self.enable):
            m.d.sync += [
                self.done.eq(complete), self.digit.eq(chosen_digit), self.left.eq(chosen_left),
                self.done_about.eq(complete_about),
            ]
        return m


def _ones(bits: Sequence[Value]) -> Value:
    """How many of `bits` are set, as a balanced tree of adders."""
    if len(bits) == 1:
        return bits[0]
    half = len(bits) // 2
    return _ones(bits[:half]) + _ones(bits[half:])


def _any(values) -> Value:
    """All `values` or-ed together; of which at most one is not 0."""
    level = list(values)
    while len(level) > 1:
        level = [a | b for a, b in zip(level[::2], level[1::2], strict=False)] + (level[-1:] if len(level) % 2 else [])
    return level[0]
