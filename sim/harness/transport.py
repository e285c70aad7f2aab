"""The compiled accelerator as a `Transport`: what the host driver talks to when there is no board.

    with VerilatedTransport(PRESETS["small"], latency=30, reorder=True) as t:
        driver = Driver(t, ...)

Time advances only inside `read32`, `write32`, `run` and `wait_irq`. A checker watches the memory ports in every
cycle; the first broken rule is raised as `ProtocolError` by the call during which it happened.
"""

from __future__ import annotations

import ctypes
from dataclasses import astuple
from pathlib import Path
from typing import Any

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.dram.timing import DramTiming

from .build import Progress, build_accelerator
from .hang import PATIENCE
from .job_log import job_log
from .library import ACCESS_LIMIT
from .memories import Memories
from .memory_options import MemoryOptions
from .observer import Observer
from .rules import NO_RULES, DesignRules, rules_of


class VerilatedTransport(Memories, Observer):
    """`config`: the build; `library`: a library built otherwise (tests); `trace`: a VCD file to write;
    `memory`: a model of DRAM on every port (`spatten_hw.sim.dram.timing`), None: memories of a fixed latency;
    `start_seed`: of `Simulation`; `patience`: cycles in which nothing moves that are a hang (`set_patience`), raised as
    `HangError`.

    Other keywords are fields of `MemoryOptions`. Reset is applied once on creation. A library of one's own is held to
    the rules of AXI; `check_design` says what else it promises.
    """

    def __init__(self, config: SpAttenConfig, *, library: Path | None = None, trace: Path | None = None,
                 optimize: int | None = None, progress: Progress | None = None, memory: DramTiming | None = None,
                 start_seed: int | None = None, patience: int = PATIENCE, **memory_options: Any):
        options = MemoryOptions(**memory_options)
        rules = rules_of(config) if library is None else NO_RULES
        if library is None:
            library = build_accelerator(config, trace=trace is not None, optimize=optimize, progress=progress)
        super().__init__(config, library, trace, start_seed)
        self.memory = memory
        self._jobs = job_log(config, self.mem_read)
        self.configure(options)
        self.set_patience(patience)
        self._set_dram()
        self.check_design(rules)
        self.reset()

    def read32(self, address: int) -> int:
        """Reads a register."""
        value = ctypes.c_uint32()
        self._answer(self._lib.spatten_read32(self._open(), address, ctypes.byref(value), ACCESS_LIMIT),
                     f"read of register 0x{address:03x}")
        return value.value

    def write32(self, address: int, value: int) -> None:
        """Writes a register."""
        self._answer(self._lib.spatten_write32(self._open(), address, value, ACCESS_LIMIT),
                     f"write of register 0x{address:03x}")
        if self._jobs:
            self._jobs.wrote(address, value)

    def wait_irq(self, max_cycles: int) -> bool:
        """Runs until a cycle shows the interrupt (True) or for `max_cycles` (False)."""
        result = self._lib.spatten_run(self._open(), max_cycles, 1)
        self._check()
        return result == 1

    def run(self, cycles: int) -> None:
        """Runs for `cycles` cycles."""
        self._lib.spatten_run(self._open(), cycles, 0)
        self._check()

    def reset(self, cycles: int = 4) -> None:
        """Resets accelerator and memory ports, at any moment; memory contents stay."""
        self._lib.spatten_reset(self._open(), cycles)
        self._check()

    @property
    def cycles(self) -> int:
        """Clock cycles since creation."""
        return self._lib.spatten_cycles(self._open())

    def check_design(self, rules: DesignRules) -> None:
        """What the checker of the memory ports demands beyond AXI; set it while nothing is in flight."""
        values = astuple(rules)
        self._lib.spatten_rules(self._open(), (ctypes.c_uint64 * len(values))(*values))
