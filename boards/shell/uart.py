"""Serial port, 8 data bits, no parity, 1 stop bit, least significant bit first."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import cdc, stream, wiring
from amaranth.lib.wiring import In, Out

#: Fewest clocks per bit: the receiver looks at three of them.
MIN_CLOCKS_PER_BIT = 4
#: Bits of a character on the line: start, data, stop.
CHARACTER_BITS = 10
#: A line low for so many bits is a break.
BREAK_BITS = 3 * CHARACTER_BITS


def clocks_per_bit(clock_hz: int, baud: int) -> int:
    """The divisor for a baud rate. Raises ValueError if none comes within 2 % of it (a character of 10 bits then ends
    less than a quarter of a bit off; the other side has its error too)."""
    divisor = round(clock_hz / baud) if baud > 0 else 0
    if divisor < MIN_CLOCKS_PER_BIT:
        raise ValueError(f"{baud} baud at a clock of {clock_hz} Hz: a bit must last at least {MIN_CLOCKS_PER_BIT} "
                         f"clocks; use at most {clock_hz // MIN_CLOCKS_PER_BIT} baud")
    if abs(clock_hz / divisor / baud - 1) > 0.02:
        raise ValueError(f"{baud} baud cannot be divided from a clock of {clock_hz} Hz within 2 %: use "
                         f"{clock_hz // divisor} baud")
    return divisor


class UartReceiver(wiring.Component):
    """Characters from `rx` (asynchronous; two flip-flops synchronise it).

    `strobe`: `data` holds a character, for one cycle, in the middle of its stop bit; from there on the next start bit
    is looked for, so a sender may be up to 4 % faster or slower (1.5 % at 4 clocks per bit). `error`, for one cycle
    instead of `strobe`: the stop bit was low. `broken`: the line has been low for `BREAK_BITS` bits. The line is the
    majority of three neighbouring clocks, which swallows spikes of one; a start bit that is gone in its middle was
    none.
    """

    rx: Signal
    data: Signal
    strobe: Signal
    error: Signal
    broken: Signal

    def __init__(self, divisor: int):
        if divisor < MIN_CLOCKS_PER_BIT:
            raise ValueError(f"divisor {divisor}: at least {MIN_CLOCKS_PER_BIT}")
        self.divisor = divisor
        super().__init__({
            "rx": In(1, init=1), "data": Out(8), "strobe": Out(1), "error": Out(1), "broken": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        now = Signal(init=1)
        m.submodules.synchroniser = cdc.FFSynchronizer(self.rx, now, init=1)
        before = Signal(2, init=3)
        line = Signal(init=1)
        m.d.sync += [
            before.eq(Cat(now, before[0])),
            line.eq((now & before[0]) | (now & before[1]) | (before[0] & before[1])),
        ]
        timer = Signal(range(self.divisor))
        bit = Signal(range(CHARACTER_BITS))
        shift = Signal(8)
        low = Signal(range(BREAK_BITS + 1))
        low_timer = Signal(range(self.divisor))
        m.d.comb += [self.data.eq(shift), self.broken.eq(low == BREAK_BITS)]
        with m.If(line):
            m.d.sync += [low.eq(0), low_timer.eq(0)]
        with m.Elif(low_timer != self.divisor - 1):
            m.d.sync += low_timer.eq(low_timer + 1)
        with m.Else():
            m.d.sync += [low_timer.eq(0), low.eq(Mux(self.broken, low, low + 1))]
        m.d.sync += timer.eq(timer - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [timer.eq((self.divisor - 1) // 2), bit.eq(0)]
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(timer == 0):
                    m.d.sync += timer.eq(self.divisor - 1)
                    m.next = "DATA"
                    with m.If(line):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self.divisor - 1), shift.eq(Cat(shift[1:], line)), bit.eq(bit + 1)]
                    with m.If(bit == 7):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(timer == 0):
                    m.d.comb += [self.strobe.eq(line), self.error.eq(~line)]
                    m.next = "IDLE"
                    with m.If(~line):
                        m.next = "LOW"
            # Not before the line is high again: a break is one error, not many characters.
            with m.State("LOW"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Characters of stream `i` to `tx`, a register that rests at 1. A character takes 10·`divisor` clocks; `i` is
    taken at its beginning, without a gap behind the one before."""

    i: stream.Interface
    tx: Signal

    def __init__(self, divisor: int):
        if divisor < MIN_CLOCKS_PER_BIT:
            raise ValueError(f"divisor {divisor}: at least {MIN_CLOCKS_PER_BIT}")
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        shift = Signal(CHARACTER_BITS - 1)
        bits = Signal(range(CHARACTER_BITS + 1))
        timer = Signal(range(self.divisor))
        last = Signal()
        m.d.comb += [last.eq((bits == 1) & (timer == 0)), self.i.ready.eq((bits == 0) | last)]
        with m.If(self.i.ready):
            m.d.sync += bits.eq(0)
            with m.If(self.i.valid):
                m.d.sync += [
                    self.tx.eq(0), shift.eq(Cat(self.i.payload, 1)), bits.eq(CHARACTER_BITS),
                    timer.eq(self.divisor - 1),
                ]
        with m.Elif(timer == 0):
            m.d.sync += [
                self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1)), bits.eq(bits - 1), timer.eq(self.divisor - 1),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
