"""One stage of the line-rate top-k engine: reads a buffered vector and decides digits of its threshold."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from .digit_histogram import DigitHistogram


def digit_command(decided: int, tag: int, count: int) -> data.StructLayout:
    """A buffered vector of n keys; the threshold's top `decided` bits are `prefix`, and it is the k-th
    largest of the keys that begin with it, `balance` = −k."""
    return data.StructLayout({
        "n": unsigned(count), "balance": signed(count + 1), "prefix": unsigned(decided), "tag": unsigned(tag),
    })


class DigitStage(wiring.Component):
    """Per `cmd` (`digit_command` of `before` bits) one `result` (`digit_command` of `before + sum(digits)`).

    Every digit takes one pass over the vector, a row of `lanes` keys per cycle: keys that begin with what is
    decided are members, the rest is masked. With one digit there is no gap between vectors; with more each
    pass waits for the one before, `passes × (rows + LATENCY)` cycles per vector. `buffer_row` runs round a ring
    of `buffer_depth` rows while `buffer_enable`; `buffer_keys` (the keys' top `key_bits` bits) is valid one
    enabled cycle later. Everything stalls together while `result` is not taken. Payloads are registers;
    `cmd.ready` follows `result.ready` combinationally.
    """

    #: Cycles from reading a vector's last row to its `result`: memory, compared, masked, then the histogram.
    LATENCY = 3 + DigitHistogram.LATENCY

    cmd: stream.Interface
    result: stream.Interface
    buffer_row: Signal
    buffer_enable: Signal
    buffer_keys: data.View

    def __init__(self, before: int, digits: Sequence[int], tag_bits: int, lanes: int, max_n: int,
                 buffer_depth: int):
        self.before = before
        self.digits = tuple(digits)
        self.key_bits = before + sum(digits)
        self.lanes = lanes
        self.tag_bits = tag_bits
        self.count_bits = max_n.bit_length()
        self.buffer_depth = buffer_depth
        super().__init__({
            "cmd": In(stream.Signature(digit_command(before, tag_bits, self.count_bits))),
            "result": Out(stream.Signature(digit_command(self.key_bits, tag_bits, self.count_bits))),
            "buffer_row": Out(max(1, clog2(buffer_depth))), "buffer_enable": Out(1),
            "buffer_keys": In(data.ArrayLayout(unsigned(self.key_bits), lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, count_bits, passes = self.lanes, self.count_bits, len(self.digits)
        balance_shape = signed(count_bits + 1)
        vector = data.StructLayout({
            "n": unsigned(count_bits), "prefix": unsigned(self.before), "tag": unsigned(self.tag_bits)})
        m.submodules.histogram = histogram = DigitHistogram(max(self.digits), lanes, count_bits, vector.size)

        # Which digit, and those before it in this stage (of one vector at a time if there are several).
        number = Signal(range(max(2, passes)))
        deciding = Signal()
        waiting = Signal()
        carried = Signal(balance_shape)
        found = [Signal(width, name=f"found_{d}") for d, width in enumerate(self.digits[:-1])]
        enable = Signal()
        m.d.comb += [
            deciding.eq(number == passes - 1),
            self.result.valid.eq(histogram.done & deciding),
            enable.eq(~self.result.valid | self.result.ready),
            self.buffer_enable.eq(enable),
        ]

        # Reading.
        reading = Signal()
        started = Signal()
        remaining = Signal(count_bits)
        left = Signal(count_bits)
        last = Signal()
        m.d.comb += [
            left.eq(Mux(started, remaining, self.cmd.p.n)),
            last.eq(left <= lanes),
            reading.eq(enable & self.cmd.valid & ~waiting),
        ]
        with m.If(reading):
            m.d.sync += [
                started.eq(~last), remaining.eq(left - lanes),
                self.buffer_row.eq(Mux(self.buffer_row == self.buffer_depth - 1, 0, self.buffer_row + 1)),
            ]
        if passes == 1:
            m.d.comb += self.cmd.ready.eq(enable & last)
        else:
            start = Signal.like(self.buffer_row)
            m.d.comb += self.cmd.ready.eq(self.result.valid & self.result.ready)
            with m.If(reading & last):
                m.d.sync += waiting.eq(1)
            with m.If(histogram.done & enable):
                m.d.sync += waiting.eq(0)
                with m.If(deciding):
                    m.d.sync += [number.eq(0), start.eq(self.buffer_row)]
                with m.Else():
                    m.d.sync += [
                        number.eq(number + 1), carried.eq(histogram.left), self.buffer_row.eq(start),
                    ]
                    for d, digit in enumerate(found):
                        with m.If(number == d):
                            m.d.sync += digit.eq(histogram.digit)

        # What travels with a row: out of the memory, compared, masked.
        about = data.StructLayout({
            "valid": 1, "first": 1, "last": 1, "live": unsigned(lanes.bit_length()), "balance": balance_shape,
            "vector": vector,
        })
        read, compared, masked = (Signal(about, name=f"{name}_about") for name in ("read", "compared", "masked"))
        with m.If(enable):
            m.d.sync += [
                read.valid.eq(reading), read.first.eq(~started), read.last.eq(last),
                read.live.eq(Mux(last, left, lanes)),
                read.balance.eq(Mux(number == 0, self.cmd.p.balance, carried)),
                read.vector.n.eq(self.cmd.p.n), read.vector.prefix.eq(self.cmd.p.prefix),
                read.vector.tag.eq(self.cmd.p.tag),
                compared.eq(read), masked.eq(compared),
            ]

        member = Signal(lanes)
        digits = Signal(data.ArrayLayout(unsigned(max(self.digits)), lanes))
        masked_digits = Signal.like(digits)
        with m.If(enable):
            for j in range(lanes):
                key = self.buffer_keys[j]
                low = self.key_bits - self.before
                same = (read.live > j) & (key[low:] == read.vector.prefix)
                for d, width in enumerate(self.digits):
                    low -= width
                    with m.If(number == d):
                        m.d.sync += digits[j].eq(key[low:low + width])
                    if d < passes - 1:
                        same &= (number <= d) | (key[low:low + width] == found[d])
                m.d.sync += [member[j].eq(same), masked_digits[j].eq(Mux(member[j], digits[j], 0))]

        done = data.View(vector, histogram.done_about)
        m.d.comb += [
            histogram.enable.eq(enable), histogram.valid.eq(masked.valid), histogram.first.eq(masked.first),
            histogram.last.eq(masked.last), histogram.balance.eq(masked.balance),
            histogram.about.eq(masked.vector.as_value()), histogram.digits.eq(masked_digits),
            self.result.p.n.eq(done.n), self.result.p.tag.eq(done.tag),
            self.result.p.balance.eq(histogram.left),
            self.result.p.prefix.eq(Cat(histogram.digit[:self.digits[-1]], *reversed(found), done.prefix)),
        ]
        return m
