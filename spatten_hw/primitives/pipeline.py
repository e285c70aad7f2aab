"""Registers that move together: pipelines with a common enable, and equal registers for what is wide.

`docs/pipelines.md` says why the blocks have the registers that they have.
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

    Data have no reset; what says whether there are data has one (`flag`). With `parts`, made by `Pipeline.ahead`, there
    are as many equal enables, and `part(n)` is the pipeline that the n-th of them moves.
    """

    def __init__(self, m: Module, enable: ValueLike = 1, parts: Sequence[Signal] = ()):
        self.m = m
        self.enable = Value.cast(enable)
        self.parts = list(parts)

    @classmethod
    def ahead(cls, m: Module, moves: Value, parts: int, name: str, init: int = 0) -> Pipeline:
        """Moves in the cycle *after* those with `moves`: the enable is a register, and once more for every one of
        `parts`, since no net reaches all of a wide row in a cycle. `init`: whether it moves in the first cycle."""
        enable, *others = copies(m, moves, 1 + parts, name, init=init)
        return cls(m, enable, others)

    def part(self, number: int) -> Pipeline:
        """What part `number` of a wide row is registered by."""
        return Pipeline(self.m, self.parts[number])

    def stage(self, values: Sequence[Value], name: str) -> list[Signal]:
        """`values` one step later, each in a register without reset that is called `name` and its number."""
        registers = [Signal(value.shape(), name=f"{name}{n}", reset_less=True) for n, value in enumerate(values)]
        with self.m.If(self.enable):
            self.m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
        return registers

    def delay(self, value: Value | ValueCastable, steps: int, name: str) -> Any:
        """`value` (a value or a view) `steps` steps later, without reset; registers `name`_1, _2, …"""
        return self._chain(value, steps, name, reset=False)

    def flag(self, value: Value, steps: int, name: str) -> Any:
        """The same for what must be 0 after a reset."""
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
    """`value`, one cycle (with `en`) later, in `count` equal registers: each is the enable, the selector or the factor
    of a part of something wide, and may lie beside it. Synthesisers are told to keep them all: of
    equal registers Yosys leaves those that are marked, and removes any that is not."""
    registers = [Signal(value.shape(), name=f"{name}_{n}", init=init, reset_less=not reset, attrs={"keep": 1})
                 for n in range(count)]
    with m.If(en):
        m.d.sync += [register.eq(value) for register in registers]
    return registers
