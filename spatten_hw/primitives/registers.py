"""Registers that hold data only, without reset: of an output, and of what holds still over a job."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, ValueCastable

#: Attributes of a memory whose reads are not looked at where a write goes to the same address in the same cycle. Yosys
#: else gives block RAM that does not keep the old value a second register and a multiplexer as wide as its rows.
NO_COLLISIONS = {"no_rw_check": 1}


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
