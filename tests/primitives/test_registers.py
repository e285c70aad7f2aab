"""The registers that blocks are made of: how many cycles later, which keep their value, which are reset."""

import os
import random

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.primitives.pipeline import copies, delay
from spatten_hw.primitives.registers import local_copy, payload_register
from spatten_hw.sim.harness.block import Block

SEED = int(os.environ.get("SEED", "1"))
CYCLES = 200


class Registers(wiring.Component):
    """One of each; `o` only makes it a block that can be run."""

    def __init__(self):
        super().__init__({"value": In(4), "en": In(1), "later": Out(4), "flag": Out(4), "here": Out(4), "first": Out(4),
                          "second": Out(4), "free": Out(4), "held": Out(4), "o": Out(stream.Signature(1))})

    def elaborate(self, platform) -> Module:
        m = Module()
        first, second = copies(m, self.value, 2, "enabled", init=5, en=self.en)
        free, = copies(m, self.value, 1, "free", reset=False)
        m.d.comb += [
            self.later.eq(delay(m, self.value, 3, "data")), self.flag.eq(delay(m, self.value, 2, "flag", reset=True)),
            self.here.eq(local_copy(m, self.value, "copy")), self.first.eq(first), self.second.eq(second),
            self.free.eq(free),
        ]
        held = payload_register(m, self.held, "held_register")
        with m.If(self.en):
            m.d.sync += held.eq(self.value)
        # A block without a stream in motion: the harness wants one.
        m.d.comb += self.o.valid.eq(Signal())
        return m


def test_values_come_as_many_cycles_later_as_said():
    rng = random.Random(SEED)
    block = Block(Registers)
    values, enabled, held, free = [0] * 4, 5, None, None
    for _ in range(CYCLES):
        value, en = rng.randrange(16), rng.randrange(2)
        block.set(value=value, en=en)
        block.idle(1)
        values.append(value)
        enabled, held, free = (value, value, value) if en else (enabled, held, value)
        assert block.get("later") == values[-3]
        assert block.get("flag") == values[-2]
        assert block.get("here") == value and block.get("free") == free
        assert block.get("first") == block.get("second") == enabled
        assert held is None or block.get("held") == held


def test_a_reset_reaches_flags_and_enables_only():
    """Data keep what they had: they are marked invalid elsewhere."""
    block = Block(Registers)
    block.set(value=9, en=1)
    block.idle(4)
    assert [block.get(name) for name in ("later", "flag", "first", "second", "here", "free", "held")] == [9] * 7
    block.set(value=9, en=0)
    block.reset(1)
    assert [block.get(name) for name in ("flag", "first", "second")] == [0, 5, 5]
    assert [block.get(name) for name in ("later", "here", "free", "held")] == [9] * 4
