"""Trees of two-input operators with a register after every few levels: what sums and maxima have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amaranth import Module, Value
from amaranth.hdl import ValueLike

from .pipeline import Pipeline

#: Levels between two registers: two 30-bit adders in series reach 80 MHz on an ECP5.
LEVELS_PER_STAGE = 2


def tree_stages(values: int) -> int:
    """Registers in a tree of `values` values: 0 for one value, else one per `LEVELS_PER_STAGE` levels begun."""
    return -(-(values - 1).bit_length() // LEVELS_PER_STAGE)


def balanced(values: Sequence[ValueLike], combine: Callable[[Value, Value], Value]) -> Value:
    """`values` (at least one) combined in pairs, then pairs of pairs, without registers."""
    level = [Value.cast(value) for value in values]
    while len(level) > 1:
        level = [combine(a, b) for a, b in zip(level[::2], level[1::2], strict=False)] + \
                (level[-1:] if len(level) % 2 else [])
    return level[0]


def registered_tree(m: Module, values: Sequence[ValueLike], combine: Callable[[Value, Value], Value], name: str,
                    enable: ValueLike = 1, reset: bool = False) -> Value:
    """`values` combined, `tree_stages(len(values))` enabled cycles later: a single value itself, else a register, 0
    after a reset if `reset` asks for it. `name`: prefix of the registers' names."""
    pipeline = Pipeline(m, enable)
    level = [Value.cast(value) for value in values]
    fan_in, stage = 1 << LEVELS_PER_STAGE, 0
    while len(level) > 1:
        stage += 1
        level = list(pipeline.stage([balanced(level[n:n + fan_in], combine) for n in range(0, len(level), fan_in)],
                                    f"{name}_stage{stage}_", reset))
    return level[0]
