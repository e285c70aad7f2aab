"""Registers that hold data only, without reset; and registers that are there many times."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, Value, ValueCastable
from amaranth.hdl import ValueLike

#: Attributes of a memory whose reads are not looked at where a write goes to the same address in the same cycle. Yosys
#: else gives block RAM that does not keep the old value a second register and a multiplexer as wide as its rows.
NO_COLLISIONS = {"no_rw_check": 1}
#: Elements of a wide row, or multipliers, that share one of `copies`.
PART = 8


def payload_register(m: Module, port: ValueCastable, name: str) -> Any:
    """A register in the shape of the output `port`, which it drives: nothing reads it while its valid bit is 0, so
    only that bit is reset.

    Data are two thirds of all registers: reset as well, one net would reach them all in a cycle, over the whole
    device, and each slice of an FPGA could only take registers that share it.
    """
    register = Signal(port.shape(), name=name, reset_less=True)
    m.d.comb += port.eq(register)
    return register


def local_copy(m: Module, port: ValueCastable, name: str) -> Any:
    """`port`, one cycle later, in a register of the block that uses it: for what holds still over a job and is used
    all over the block. Otherwise its way from the sequencer would count in every cycle; of a job, a synthesiser keeps
    the fields that are used."""
    register = Signal(port.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(port)
    return register


def delay(m: Module, value, cycles: int, name: str, reset: bool = False):
    """`value` (a value or a view) `cycles` clock edges later; `reset` for flags that must start at 0."""
    for n in range(cycles):
        later = Signal(value.shape(), name=f"{name}_{n + 1}", reset_less=not reset)
        m.d.sync += later.eq(value)
        value = later
    return value


def copies(m: Module, value: Value, count: int, name: str, init: int = 0, en: ValueLike = 1,
           reset: bool = True) -> list[Signal]:
    """`value`, one cycle (with `en`) later, in `count` equal registers: each is the enable, the selector or the factor
    of a part of something wide, and may lie beside it. Synthesisers are told to keep them all: of
    equal registers Yosys leaves those that are marked, and removes any that is not."""
    registers = [Signal(value.shape(), name=f"{name}_{n}", init=init, reset_less=not reset, attrs={"keep": 1})
                 for n in range(count)]
    with m.If(en):
        m.d.sync += [register.eq(value) for register in registers]
    return registers
