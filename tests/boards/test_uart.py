"""Serial line: sender and receiver at their limits, noise, framing errors, breaks."""

import itertools
import random

import pytest
from amaranth import Module
from amaranth.sim import Simulator

from spatten_hw.boards.shell.uart import BREAK_BITS, UartReceiver, UartTransmitter, clocks_per_bit


def received(receiver: UartReceiver, line: list[int]) -> tuple[list[int], int, int]:
    """(characters, framing errors, clocks in a break) of a receiver that sees `line`, a level per clock."""
    characters, errors, breaks = [], 0, 0
    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)

    async def bench(ctx):
        nonlocal errors, breaks
        for level in line:
            ctx.set(receiver.rx, level)
            _, _, strobe, error, broken, data = await ctx.tick().sample(
                receiver.strobe, receiver.error, receiver.broken, receiver.data)
            errors += error
            breaks += broken
            if strobe:
                characters.append(data)
    simulator.add_testbench(bench)
    simulator.run()
    return characters, errors, breaks


def waveform(data: bytes, clocks: float, stop: int = 1) -> list[int]:
    """The line's levels, a character after the other, with bits of so many clocks (a fraction is kept)."""
    bits = [b for byte in data for b in [0, *(byte >> n & 1 for n in range(8)), stop]]
    return [bits[int(t / clocks)] for t in range(int(len(bits) * clocks))]


@pytest.mark.parametrize("divisor", [4, 5, 16, 25])
def test_characters_survive_a_clock_off_by_4_percent(divisor):
    data = bytes(random.Random(divisor).randbytes(7)) + b"\x00\xff\x55"
    # At four clocks a bit, the receiver's grid alone costs a quarter of a bit.
    drifts = (0.985, 1, 1.015) if divisor < 8 else (0.96, 1, 1.04)
    for drift in drifts:
        line = [1] * 3 * divisor + waveform(data, divisor * drift) + [1] * 20 * divisor
        assert received(UartReceiver(divisor), line) == (list(data), 0, 0), drift


def test_spikes_are_no_start_bits():
    rng = random.Random(1)
    line = []
    for _ in range(20):
        line += [1] * rng.randint(5, 30) + [0]
    spiked = [level ^ (n % 16 == 5) for n, level in enumerate(waveform(b"\x3a\xc5", 16))]
    assert received(UartReceiver(16), line + [1] * 40 + spiked + [1] * 100) == ([0x3A, 0xC5], 0, 0)


def test_framing_error_and_break():
    divisor = 8
    line = [1] * 20 + waveform(b"\x21", divisor, stop=0) + [1] * 100 + waveform(b"\x42", divisor)
    assert received(UartReceiver(divisor), [*line, *[1] * 20]) == ([0x42], 1, 0)
    low = BREAK_BITS * divisor + 50
    characters, errors, breaks = received(UartReceiver(divisor), [1] * 20 + [0] * low + [1] * 50
                                          + waveform(b"\x17", divisor) + [1] * 20)
    assert (characters, errors) == ([0x17], 1) and 40 <= breaks <= 60


@pytest.mark.parametrize("divisor", [4, 9])
def test_transmitter_to_receiver_without_gaps(divisor):
    m = Module()
    m.submodules.sender = sender = UartTransmitter(divisor)
    m.submodules.receiver = receiver = UartReceiver(divisor)
    m.d.comb += receiver.rx.eq(sender.tx)
    data = random.Random(3).randbytes(20)
    got, clocks = [], []
    simulator = Simulator(m)
    simulator.add_clock(1e-6)

    async def send(ctx):
        ctx.set(sender.i.valid, 1)
        for byte in data:
            ctx.set(sender.i.payload, byte)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(sender.i.ready)
        ctx.set(sender.i.valid, 0)

    async def receive(ctx):
        for clock in range(len(data) * 10 * divisor + 10 * divisor):
            _, _, strobe, value = await ctx.tick().sample(receiver.strobe, receiver.data)
            if strobe:
                got.append(value)
                clocks.append(clock)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run()
    assert bytes(got) == data
    assert {b - a for a, b in itertools.pairwise(clocks)} == {10 * divisor}


def test_divisors():
    assert clocks_per_bit(25_000_000, 1_000_000) == 25 and clocks_per_bit(50_000_000, 115_200) == 434
    with pytest.raises(ValueError, match="at most 6250000 baud"):
        clocks_per_bit(25_000_000, 8_000_000)
    with pytest.raises(ValueError, match="use 5000000 baud"):
        clocks_per_bit(25_000_000, 4_700_000)
