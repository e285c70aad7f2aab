"""A board's system as a shared library: its Verilog compiled by Verilator with `uart_system.cpp` round it.

Kept and found again as the accelerator's simulations are (`sim/harness/build.py`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
from pathlib import Path

from boards.shell.sdram import Sdram
from boards.shell.system import System, SystemMemory
from sim.harness.build import JOBS, Progress, _locked, _write_atomically, build_dir, check_tools
from sim.harness.registers import clocked_registers
from sim.harness.verilator import call, verilator_env
from spatten_hw.shared import _only_asked
from spatten_hw.verilog import to_verilog

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ("uart_system.cpp", "sdram_model.h")
TOP = "system"


def build_system(system: System, *, optimize: int = 1, progress: Progress | None = None) -> Path:
    """The library of `system`, built if it does not exist yet. `optimize`: the C++ compiler's effort.

    A second, quicker key is a hash of the sources: if those are unchanged no Verilog is generated to learn that it is.
    """
    check_tools()
    say = progress or (lambda _: None)
    folder = build_dir() / "lib"
    folder.mkdir(exist_ok=True)
    shortcut = folder / f"system-{_sources_hash(system, optimize)}.key"
    if shortcut.exists() and (folder / shortcut.read_text()).exists():
        _only_asked(system)
        return folder / shortcut.read_text()
    say(f"generating Verilog of the system with '{system.config.name}'")
    verilog = clocked_registers(to_verilog(system, TOP, jobs=JOBS))
    defines = _defines(system.memory)
    parts = (verilog, defines, *((HERE / s).read_text() for s in SOURCES), Path(__file__).read_text(), str(optimize),
             importlib.metadata.version("verilator"))
    name = "system-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    library = folder / f"{name}.so"
    with _locked(folder / f"{name}.lock"):
        if not library.exists():
            work = folder / f"{name}.build"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            say("compiling the system (a minute or two)")
            _compile(verilog, defines, work, optimize)
            (work / "libsystem.so").rename(library)
            shutil.rmtree(work, ignore_errors=True)
    _write_atomically(shortcut, library.name)
    return library


def _sources_hash(system: System, optimize: int) -> str:
    digest = hashlib.sha256(f"{system.config.hash} {system.clock_hz} {system.divisor} {system.memory!r} {optimize}"
                            .encode())
    for package in ("amaranth", "verilator"):
        digest.update(importlib.metadata.version(package).encode())
    for path in [*sorted((ROOT / "spatten_hw").rglob("*.py")), *sorted((ROOT / "boards").rglob("*.py")),
                 *(HERE / s for s in SOURCES)]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _defines(memory: SystemMemory) -> str:
    """Flags that tell the C++ code which chips are outside."""
    if not isinstance(memory, Sdram):
        return ""
    return f"-DSDRAM_ROW_BITS={memory.chip.row_bits} -DSDRAM_COLUMN_BITS={memory.chip.column_bits}"


def _compile(verilog: str, defines: str, work: Path, optimize: int) -> None:
    (work / f"{TOP}.v").write_text(verilog)
    for source in SOURCES:
        shutil.copyfile(HERE / source, work / source)
    env = verilator_env(opt_fast=f"-O{optimize}", opt_slow="-O0")
    # -fno-gnu-unique, -Bsymbolic: two such libraries in one process must not share symbols.
    call(["verilator", "--cc", "--exe", "--prefix", "Vsystem", "--top-module", TOP, "--Mdir", "obj",
          "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--output-split", "20000",
          "-Wno-fatal", "-Wno-lint", "-Wno-PROCASSINIT",
          "-CFLAGS", f"-fPIC -fvisibility=hidden -fno-gnu-unique -I{work} -O{optimize} {defines}", "-LDFLAGS",
          "-shared -Wl,-Bsymbolic", "-o", "../libsystem.so", f"{TOP}.v", SOURCES[0]], work, env, work / "verilator.log")
    call(["make", f"-j{JOBS}", "-f", "Vsystem.mk"], work / "obj", env, work / "make.log")
