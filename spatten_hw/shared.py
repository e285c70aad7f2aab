"""Blocks that occur many times, written to Verilog once.

Amaranth writes one module per instance. `Shared(ScoreSlice, config)` behaves like `ScoreSlice(config)`, but
`spatten_hw.verilog` converts each different block once and instantiates it: the full preset's 16 slices are
one module, which a reader, a synthesiser and the generator process only once.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from amaranth import ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .config import SpAttenConfig


class VerilogPlatform:
    """Collects the shared blocks one conversion meets. `prefix` starts their module names."""

    def __init__(self, prefix: str):
        self.prefix = prefix
        #: Blocks met, in order: (class, *arguments).
        self.keys: dict[tuple, None] = {}

    def module(self, key: tuple) -> str:
        """Name of the module for `key`; it says class and numbers, and a digest of any argument that is neither
        a number nor a configuration (of which a design has only one)."""
        self.keys.setdefault(key)
        words = [self.prefix, re.sub(r"(?<!^)(?=[A-Z])", "_", key[0].__name__).lower()]
        for argument in key[1:]:
            if isinstance(argument, int):
                words.append(str(argument))
            elif not isinstance(argument, SpAttenConfig):
                words.append(hashlib.sha256(repr(argument).encode()).hexdigest()[:6])
        return "_".join(words)


class Shared(wiring.Component):
    """`block(*arguments)` with the same ports, as an instance of a module that all equal blocks share.

    Outside a conversion to Verilog (Amaranth's simulator, proofs) the block is a plain submodule. `arguments`
    must be hashable and say everything about the block. `block` must use the `sync` domain, and no other.

    `reset`: what resets the block in Verilog (see `own_reset`); by default the reset of the surrounding module.
    """

    def __init__(self, block: type[wiring.Component], *arguments: Any, reset: Signal | None = None):
        self.key = (block, *arguments)
        self.reset = reset
        prototype = block(*arguments)
        only_asked(prototype)
        super().__init__(prototype.signature)

    def elaborate(self, platform) -> Module:
        m = Module()
        if not isinstance(platform, VerilogPlatform):
            m.submodules.block = block = self.key[0](*self.key[1:])
            wiring.connect(m, wiring.flipped(self), block)
            return m
        ports = {"i_clk": ClockSignal(), "i_rst": ResetSignal() if self.reset is None else self.reset}
        for path, member, value in self.signature.flatten(self):
            direction = "i" if member.flow == In else "o"
            ports[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
        m.submodules.block = Instance(platform.module(self.key), **ports)
        return m


def own_reset(m: Module, name: str) -> Signal:
    """A reset register for the block `name`, one cycle later than the reset around it; for blocks that get no requests
    in that cycle. One reset net to every register would be the critical path of the accelerator. `keep` stops
    synthesisers from merging the equal registers of all blocks."""
    reset = Signal(name=f"{name}_reset", init=1, reset_less=True, attrs={"keep": 1})
    m.d.sync += reset.eq(ResetSignal())
    return reset


def only_asked(block: Elaboratable) -> None:
    """Keeps Amaranth from warning that `block`, which was made only to read its ports, is never elaborated."""
    block._MustUse__silence = True  # type: ignore[attr-defined]
    for part in vars(block).values():
        if isinstance(part, Elaboratable):
            only_asked(part)
