"""One stage of the line-rate top-k engine: keeps vectors' keys and decides digits of their thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract import contract
from .digit_histogram import DigitHistogram
from .key_groups import KeyGroups


def digit_command(decided: int, count: int) -> data.StructLayout:
    """A vector's threshold as far as it is known: its top `decided` bits are `prefix`, and it is the k-th
    largest of the keys that begin with it, `balance` = −k."""
    return data.StructLayout({"balance": signed(count + 1), "prefix": unsigned(decided)})


class DigitStage(wiring.Component):
    """Per `cmd` (`digit_command` of `before` bits) one `result` (`digit_command` of `before + sum(digits)`).

    Vectors come as rows (`row_valid`, `row_last`, `row_keys`: the keys' top `key_bits` bits, 0 in lanes that do not
    count) whenever not `row_full`, at the latest `KeyGroups.LATENCY` cycles before their `cmd`, and are kept until
    decided. Every digit takes one pass, `wide` rows per cycle: keys that begin with the decided bits are members,
    the others are masked. With one digit there is no gap between vectors; with more each pass waits for the one
    before, `passes × (groups + LATENCY)` cycles per vector. `result_valid` must be taken at once: a queue as deep as
    the memory of the next reader of the same vectors is never full. `result` is combinational from registers.
    """

    #: Cycles from a vector's last group to its `result`: compared, then masked into the histogram.
    LATENCY = 1 + DigitHistogram.LATENCY

    row_valid: Signal
    row_last: Signal
    row_keys: data.View
    row_full: Signal
    cmd: stream.Interface
    result_valid: Signal
    result: data.View

    def __init__(self, before: int, digits: Sequence[int], lanes: int, wide: int, max_n: int, depth: int):
        self.before = before
        self.digits = tuple(digits)
        self.key_bits = before + sum(digits)
        self.lanes = lanes
        self.wide = wide
        self.count_bits = max_n.bit_length()
        #: Groups of `wide` rows that the memory holds.
        self.depth = depth
        super().__init__({
            "row_valid": In(1), "row_last": In(1),
            "row_keys": In(data.ArrayLayout(unsigned(self.key_bits), lanes)), "row_full": Out(1),
            "cmd": In(stream.Signature(digit_command(before, self.count_bits))),
            "result_valid": Out(1), "result": Out(digit_command(self.key_bits, self.count_bits)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, wide, passes = self.lanes, self.wide, len(self.digits)
        balance_shape = signed(self.count_bits + 1)
        m.submodules.groups = groups = KeyGroups(self.key_bits, lanes, wide, self.depth)
        m.submodules.histogram = histogram = DigitHistogram(max(self.digits), lanes * wide, self.count_bits)

        # The digit that is decided, and those found before it in this stage (one vector at a time if it has several).
        number = Signal(range(max(2, passes)))
        deciding = Signal()
        waiting = Signal()
        carried = Signal(balance_shape)
        found = [Signal(width, name=f"found_{d}") for d, width in enumerate(self.digits[:-1])]

        # Reading.
        reading = Signal()
        started = Signal()
        m.d.comb += [
            groups.valid.eq(self.row_valid), groups.last.eq(self.row_last), groups.row.eq(self.row_keys),
            self.row_full.eq(groups.full),
            reading.eq(self.cmd.valid & ~waiting), deciding.eq(number == passes - 1),
            groups.step.eq(reading), groups.free.eq(deciding),
            self.result_valid.eq(histogram.done & deciding),
        ]
        with m.If(reading):
            m.d.sync += started.eq(~groups.group_last)
        if passes == 1:
            m.d.comb += self.cmd.ready.eq(groups.group_last)
        else:
            m.d.comb += [
                self.cmd.ready.eq(self.result_valid), groups.rewind.eq(histogram.done & ~deciding),
            ]
            with m.If(reading & groups.group_last):
                m.d.sync += waiting.eq(1)
            with m.If(histogram.done):
                m.d.sync += [waiting.eq(0), number.eq(Mux(deciding, 0, number + 1)), carried.eq(histogram.left)]
                for d, digit in enumerate(found):
                    with m.If(number == d):
                        m.d.sync += digit.eq(histogram.digit)

        # Compared: block RAM data arrive late in the cycle, so digits of non-members are masked in the next one.
        compared_valid = Signal()
        compared_first = Signal()
        compared_last = Signal()
        compared_balance = Signal(balance_shape, reset_less=True)
        compared_digits = Signal(data.ArrayLayout(unsigned(max(self.digits)), lanes * wide), reset_less=True)
        members = Signal(lanes * wide, reset_less=True)
        m.d.sync += [
            compared_valid.eq(reading), compared_first.eq(~started), compared_last.eq(groups.group_last),
            compared_balance.eq(Mux(number == 0, self.cmd.p.balance, carried)),
        ]
        for j in range(lanes * wide):
            key = groups.keys[j]
            low = self.key_bits - self.before
            member = groups.live[j // lanes] & (key[low:] == self.cmd.p.prefix)
            for d, width in enumerate(self.digits):
                low -= width
                with m.If(number == d):
                    m.d.sync += [compared_digits[j].eq(key[low:low + width]), members[j].eq(member)]
                member &= (number <= d) | (key[low:low + width] == found[d]) if d < passes - 1 else 1

        # The bits decided before are delayed by as much as the counts.
        prefix = self.cmd.p.prefix
        for step in range(self.LATENCY):
            later = Signal(self.before, name=f"prefix_{step}")
            m.d.sync += later.eq(prefix)
            prefix = later
        m.d.comb += [
            histogram.valid.eq(compared_valid), histogram.first.eq(compared_first), histogram.last.eq(compared_last),
            histogram.balance.eq(compared_balance),
            *(histogram.digits[j].eq(Mux(members[j], compared_digits[j], 0)) for j in range(lanes * wide)),
            self.result.balance.eq(histogram.left),
            self.result.prefix.eq(Cat(histogram.digit[:self.digits[-1]], *reversed(found), prefix)),
        ]
        contract(m, ~self.row_full, "rows come only while there is room", when=self.row_valid)
        contract(m, self.cmd.p.balance < 0, "k is at least 1", when=self.cmd.valid)
        return m
