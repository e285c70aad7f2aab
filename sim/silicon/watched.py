"""The accelerator in simulation, its registers and ports written down in windows of cycles."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.bench.measure import TellingTransport
from spatten_hw.sim.dram.timing import DramTiming
from spatten_hw.sim.harness import kept
from spatten_hw.sim.harness.build import HERE as HARNESS
from spatten_hw.sim.harness.build import JOBS, LARGE, SOURCES, TOP, Progress, registered_reset
from spatten_hw.sim.harness.glue import glue_header
from spatten_hw.sim.harness.registers import clocked_registers
from spatten_hw.sim.harness.repeated import configuration
from spatten_hw.sim.harness.simulated import simulated
from spatten_hw.sim.harness.verilator import call, check_tools, verilate, verilator_env, version

HERE = Path(__file__).resolve().parent
#: Bytes of Verilog from which g++ shall not optimise at all: a run is short, and a trace three quarters of the code.
HUGE = 12_000_000
#: Of Verilator: memories that become flip-flops in the trace word by word, wide signals whole.
OPTIONS = ("--trace", "--trace-max-array", "32", "--trace-max-width", "4096")


def watched_library(config: SpAttenConfig, verilog: str, progress: Progress) -> Path:
    """The library of `Top(config)`, whose Verilog is `verilog`, with a trace; built if need be."""
    check_tools()
    glue = glue_header(config.channels, config.axi_data_bits)
    parts = (verilog, glue, (HERE / "watch.cpp").read_text(), *((HARNESS / s).read_text() for s in SOURCES), version(),
             " ".join((str(optimisation(verilog)), *OPTIONS)))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return kept.library(f"watched-{digest}", lambda work: _compile(verilog, glue, work, progress))


def optimisation(verilog: str) -> int:
    """The level of g++ that a design is worth here."""
    return 1 if len(verilog) < HUGE else 0


def _compile(verilog: str, glue: str, work: Path, progress: Progress) -> Path:
    text = registered_reset(clocked_registers(simulated(verilog)))
    (work / f"{TOP}.v").write_text(text)
    (work / "repeated.vlt").write_text(configuration(text, TOP))
    (work / "glue.h").write_text(glue)
    for source in (*(HARNESS / s for s in SOURCES), HERE / "watch.cpp"):
        shutil.copyfile(source, work / source.name)
    env = verilator_env(opt_fast=f"-O{optimisation(verilog)}", opt_slow="-O0")
    progress("verilating, with a trace")
    flow = ("-fno-dfg",) if len(verilog) >= LARGE else ()
    verilate(work, TOP, "watch.cpp", env, "", "repeated.vlt", *flow, *OPTIONS)
    progress("compiling")
    call(["make", f"-j{JOBS}", "-f", f"V{TOP}.mk"], work / "obj", env, work / "make.log")
    return work / f"lib{TOP}.so"


class WatchedTransport(TellingTransport):
    """A simulation that writes a trace (a VCD file) of `count` cycles out of every `every`, from the moment `begin` is
    called. `windows`: (first cycle, cycle behind the last) of each so far; their values are those of VCD times 2·cycle,
    when everything has settled."""

    def __init__(self, config: SpAttenConfig, library: Path, trace: Path, memory: DramTiming | None):
        self.windows: list[tuple[int, int]] = []
        self._every = self._count = 0
        super().__init__(config, library=library, trace=trace, memory=memory)
        for name, arguments in (("watch", [ctypes.c_void_p, ctypes.c_int]), ("watched", [ctypes.c_void_p])):
            function = getattr(self._lib, f"spatten_{name}")
            function.restype, function.argtypes = None, arguments
        self._watch(False)

    def begin(self, every: int, count: int) -> None:
        """Windows of `count` cycles, the first half of `every` from now on, then one every so many."""
        self._every, self._count = every, count
        self._next = self.cycles + every // 2

    def wait_irq(self, max_cycles: int) -> bool:
        """As in the base class, a window at a time."""
        if not self._every:
            return super().wait_irq(max_cycles)
        end = self.cycles + max_cycles
        while (now := self.cycles) < end:
            if now >= self._next:
                self._watch(True)
                found = super().wait_irq(min(self._count, end - now))
                self._watch(False)
                self.windows.append((now, self.cycles))
                self._next += self._every * ((self.cycles - self._next) // self._every + 1)
            else:
                found = super().wait_irq(min(self._next, end) - now)
            if found:
                return True
        return False

    def finish(self) -> None:
        """The trace is complete in its file."""
        self._lib.spatten_watched(self._open())

    def record(self, on: bool = True, limit: int = 0) -> None:
        """This library has no probe; nothing asks it for spans."""

    def _watch(self, on: bool) -> None:
        self._lib.spatten_watch(self._open(), int(on))
