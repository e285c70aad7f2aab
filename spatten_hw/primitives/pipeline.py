"""Registers that move together: pipelines with a common enable, and equal registers that share a large fan-out.

`docs/pipelines.md` explains why the blocks' registers are where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import Module, Signal, Value, ValueCastable
from amaranth.hdl import ValueLike

#: Elements of a wide row, or multipliers, that share one of `copies`.
PART = 8


class Pipeline:
    """Registers of `m` that move in every cycle with `enable`.

    Data registers have no reset; valid bits have one (`flag`).
    """

    def __init__(self, m: Module, enable: ValueLike = 1):
        self.m = m
        self.enable = Value.cast(enable)

    def stage(self, values: Sequence[Value], name: str, reset: bool = False) -> list[Signal]:
        """`values` one step later, each in a register `name` + number; `reset`: it is 0 after one."""
        registers = [Signal(value.shape(), name=f"{name}{n}", reset_less=not reset)
                     for n, value in enumerate(values)]
        with self.m.If(self.enable):
            self.m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
        return registers

    def delay(self, value: Value | ValueCastable, steps: int, name: str) -> Any:
        """`value` (a value or a view) `steps` steps later, without reset; registers `name`_1, _2, …"""
        return self._chain(value, steps, name, reset=False)

    def flag(self, value: Value, steps: int, name: str) -> Any:
        """Like `delay`, but with a reset: for bits that must be 0 after it."""
        return self._chain(value, steps, name, reset=True)

    def copies(self, value: Value, count: int, name: str) -> list[Signal]:
        """`value` one step later in `count` equal registers without reset (`copies`)."""
        return copies(self.m, value, count, name, en=self.enable, reset=False)

    def _chain(self, value: Any, steps: int, name: str, reset: bool) -> Any:
        for n in range(steps):
            later = Signal(value.shape(), name=f"{name}_{n + 1}", reset_less=not reset)
            with self.m.If(self.enable):
                self.m.d.sync += later.eq(value)
            value = later
        return value


def delay(m: Module, value: Any, cycles: int, name: str, reset: bool = False) -> Any:
    """`value` (a value or a view) `cycles` clock edges later; `reset` for flags that must start at 0."""
    pipeline = Pipeline(m)
    return pipeline.flag(value, cycles, name) if reset else pipeline.delay(value, cycles, name)


def copies(m: Module, value: Value, count: int, name: str, init: int = 0, en: ValueLike = 1,
           reset: bool = True) -> list[Signal]:
    """`value`, one enabled cycle later, in `count` equal registers. Each is the enable, the selector or the factor of
    one part of something wide, and can be placed beside it. The attribute `keep` is needed because Yosys removes equal
    registers that are not marked with it."""
    registers = [Signal(value.shape(), name=f"{name}_{n}", init=init, reset_less=not reset, attrs={"keep": 1})
                 for n in range(count)]
    with m.If(en):
        m.d.sync += [register.eq(value) for register in registers]
    return registers
