"""A board's system as a shared library: its Verilog compiled by Verilator with `uart_system.cpp` round it.

Kept and found again as the accelerator's simulations are (`sim/harness/kept.py`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
from pathlib import Path

from spatten_hw.boards.shell.sdram import Sdram
from spatten_hw.boards.shell.system import System, SystemMemory
from spatten_hw.shared import only_asked
from spatten_hw.sim.harness import kept
from spatten_hw.sim.harness.build import JOBS, Progress
from spatten_hw.sim.harness.registers import clocked_registers
from spatten_hw.sim.harness.simulated import MADE_BY, simulated
from spatten_hw.sim.harness.verilator import (
    call,
    check_tools,
    files_option,
    level_option,
    verilate,
    verilator_env,
    version,
)
from spatten_hw.source_tree import sources_digest
from spatten_hw.verilog import to_verilog

HERE = Path(__file__).resolve().parent
HARNESS = HERE.parents[1] / "sim" / "harness"
SOURCES = ("uart_system.cpp", "sdram_model.h")
TOP = "system"
#: What its library is made with.
_MADE_WITH = (*(HERE / s for s in SOURCES), HERE / "build.py",
              *(HARNESS / s for s in ("contracts.h", "registers.py", "verilator.py", *MADE_BY)))


def build_system(system: System, *, optimize: int = 1, progress: Progress | None = None) -> Path:
    """The library of `system`, built if it does not exist yet. `optimize`: the C++ compiler's effort.

    A second, quicker key is a hash of the sources: if those are unchanged no Verilog is generated to learn that it is.
    """
    check_tools()
    say = progress or (lambda _: None)
    shortcut = kept.Shortcut(f"system-{_sources_hash(system, optimize)}")
    if found := shortcut.library():
        only_asked(system)
        return found
    say(f"generating Verilog of the system with '{system.config.name}'")
    verilog = clocked_registers(simulated(to_verilog(system, TOP, jobs=JOBS, contracts=True)))
    defines = _defines(system.memory)
    parts = (verilog, defines, *(path.read_text() for path in _MADE_WITH), str(optimize), version())
    name = "system-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def make(work: Path) -> Path:
        say("compiling the system (a minute or two)")
        return _compile(verilog, defines, work, optimize)
    library = kept.library(name, make)
    shortcut.leads_to(library)
    return library


def _sources_hash(system: System, optimize: int) -> str:
    versions = [importlib.metadata.version(package) for package in ("amaranth", "verilator")]
    text = f"{system.config.hash} {system.clock_hz} {system.divisor} {system.memory!r} {optimize} {versions}"
    return sources_digest([*sorted(HERE.parent.rglob("*.py")), *_MADE_WITH], text)[:16]


def _defines(memory: SystemMemory) -> str:
    """Flags that tell the C++ code which chips are outside."""
    if not isinstance(memory, Sdram):
        return ""
    return f"-DSDRAM_ROW_BITS={memory.chip.row_bits} -DSDRAM_COLUMN_BITS={memory.chip.column_bits}"


def _compile(verilog: str, defines: str, work: Path, optimize: int) -> Path:
    (work / f"{TOP}.v").write_text(verilog)
    for source in SOURCES:
        shutil.copyfile(HERE / source, work / source)
    shutil.copyfile(HARNESS / "contracts.h", work / "contracts.h")
    level = level_option(optimize)
    env = verilator_env(opt_fast=level, opt_slow="-O0")
    verilate(work, TOP, SOURCES[0], env, f"{level} {defines}", *files_option(verilog, optimize))
    call(["make", f"-j{JOBS}", "-f", f"V{TOP}.mk"], work / "obj", env, work / "make.log")
    return work / f"lib{TOP}.so"
