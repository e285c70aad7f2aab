"""Data registers without reset: for an output, and for what is constant during a job."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, ValueCastable

#: Attributes of a memory whose user ignores the data read from an address that is written in the same cycle. Without
#: them Yosys adds a register and a multiplexer, as wide as a row, to block RAM that does not keep the old value.
NO_COLLISIONS = {"no_rw_check": 1}


def payload_register(m: Module, port: ValueCastable, name: str) -> Any:
    """A register in the shape of the output `port`, which it drives: nothing reads it while its valid bit is 0, so
    only that bit is reset.

    Data are two thirds of all registers. If they had a reset, one net would have to reach them all in a cycle, over the
    whole device, and each slice of an FPGA could only take registers with the same reset.
    """
    register = Signal(port.shape(), name=name, reset_less=True)
    m.d.comb += port.eq(register)
    return register


def local_copy(m: Module, port: ValueCastable, name: str) -> Any:
    """`port`, one cycle later, in a register of the block that uses it: for what is constant during a job and used all
    over the block. The path from the sequencer then does not limit the clock. Synthesisers keep only the fields of a
    job that are used."""
    register = Signal(port.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(port)
    return register
