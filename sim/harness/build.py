"""Verilog → shared library: the accelerator compiled by Verilator with `harness.cpp` around it.

Libraries are kept (`kept.py`) and found again by a hash of everything that goes into them: the Verilog, the harness
sources, the flags.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.source_tree import sources_digest

from . import kept, variant
from .asked import asked_contracts, asked_level
from .glue import glue_header
from .precompiled import Headers
from .registers import clocked_registers
from .repeated import configuration
from .simulated import MADE_BY, simulated
from .verilator import (
    SPLIT,
    call,
    check_tools,
    failure,
    files_option,
    level_option,
    shared_runtime,
    verilate,
    verilator_env,
    version,
)

HERE = Path(__file__).resolve().parent
#: The model of DRAM, also compiled by itself (sim/dram/replay.py).
DRAM_HEADERS = ("dram_timing.h", "dram_bank.h", "dram_queue.h", "dram_controller.h")
SOURCES = ("harness.cpp", "channel.h", "contracts.h", "axi_checker.h", "axi_payload.h", "classes.h", "memory.h",
           "probe.h", "trouble.h", "coverage.h", "dram_port.h", *DRAM_HEADERS)
#: What makes a library of them.
MADE_WITH = ("build.py", "registers.py", "repeated.py", "verilator.py", *MADE_BY)
#: Module name of the accelerator's top.
TOP = "spatten"
#: Bytes of Verilog from which a design is worth less optimisation: see `optimisation`.
LARGE = 4_000_000
#: Parallel compiler runs.
JOBS = 2

Progress = Callable[[str], None]


def build_accelerator(config: SpAttenConfig, *, trace: bool = False, optimize: int | None = None,
                      progress: Progress | None = None) -> Path:
    """The library of `Top(config, probe=True)`, built if need be. `optimize`: of g++; None: `asked_level`, or
    `optimisation`.

    A second, quicker key is a hash of the generator's own sources: if those are unchanged the Verilog is not
    generated again to learn that it is.
    """
    check_tools()
    say = progress or (lambda _: None)
    optimize = asked_level() if optimize is None else optimize
    contracts = asked_contracts()
    shortcut = kept.Shortcut(_generator_hash(config, trace, optimize, contracts))
    if found := shortcut.library():
        return found
    from spatten_hw.top import Top

    say(f"generating Verilog of '{config.name}'")
    text = variant.simulated_verilog(Top(config, probe=True), TOP, jobs=JOBS, contracts=contracts)
    library = build_library(text, config.channels, config.axi_data_bits, probe=config, trace=trace,
                            optimize=optimize, progress=progress)
    shortcut.leads_to(library)
    return library


def build_library(verilog: str, channels: int, data_bits: int, *, probe: SpAttenConfig | None = None,
                  trace: bool = False, optimize: int | None = None, options: Sequence[str] = (),
                  progress: Progress | None = None) -> Path:
    """The library of a design with the accelerator's ports, module `spatten`; built if it does not exist yet.

    `probe`: the design is `Top(probe, probe=True)` and has its port of observed streams. `options`: more
    of Verilator's.
    """
    check_tools()
    say = progress or (lambda _: None)
    if optimize is None:
        optimize = asked_level()
    if optimize is None:
        optimize = optimisation(verilog)
    glue = glue_header(channels, data_bits, probe)
    digest = hashlib.sha256(verilog.encode())
    for part in (glue, *((HERE / s).read_text() for s in SOURCES),
                 f"{trace} {optimize} {version()}{variant.compiled()} {' '.join(options)}",
                 *((HERE / s).read_text() for s in MADE_WITH)):
        digest.update(part.encode())
    return kept.library(digest.hexdigest()[:16], lambda work: _compile(
        verilog, glue, work, [*(["--trace"] if trace else []), *options], optimize, say, f"{int(trace)}-{optimize}"))


def optimisation(verilog: str) -> int:
    """The level of g++ that a design is worth: 3 below `LARGE` bytes of Verilog, else 2."""
    return 3 if len(verilog) < LARGE else 2


def _compile(verilog: str, glue: str, work: Path, options: Sequence[str], optimize: int, say: Progress,
             runtime: str) -> Path:
    text = registered_reset(clocked_registers(simulated(verilog)))
    (work / f"{TOP}.v").write_text(text)
    (work / "repeated.vlt").write_text(configuration(text, TOP))
    (work / "glue.h").write_text(glue)
    for source in SOURCES:
        shutil.copyfile(HERE / source, work / source)
    # Start-up code, a quarter of all, is not worth optimising: in files of its own it is not. A level among the CFLAGS
    # would reach it there, too.
    level = level_option(optimize)
    env = verilator_env(opt_fast=level, opt_slow="-O0")
    say("verilating")
    # Verilator's data-flow pass makes the C++ of most designs a third smaller. In `full` it joins what repeated modules
    # do with what is around them: it then takes three times as long to simulate at level 2, and longer to compile.
    flow = ("-fno-dfg",) if len(verilog) >= SPLIT else ()
    verilate(work, TOP, "harness.cpp", env, "", "repeated.vlt", *flow, *options, *files_option(verilog, optimize))
    folder = kept.library_dir() / f"runtime-{version()}-{runtime}{variant.compiled()}"
    with shared_runtime(work / "obj", folder):
        arguments = []
        if not _is_split(work / "obj"):
            headers = Headers(folder, level)
            if headers.missing:
                call(["make", "-f", f"V{TOP}.mk", *headers.compile], work / "obj", env, work / "headers.log")
            arguments = headers.use
        _make(work, env, say, arguments)
    return work / f"lib{TOP}.so"


def registered_reset(verilog: str) -> str:
    """The design with its reset behind a register: it acts one cycle later.

    The next value of every register depends on reset. As an input, reset would make the simulator compute
    all of them again after each change of inputs: a fifth of its work.
    """
    found = re.search(rf"^module {TOP}\(.*?^endmodule", verilog, flags=re.S | re.M)
    if found is None or ".rst(rst)" not in found[0]:
        return verilog
    port = "  input rst;\n"
    register = "  reg rst_later = $urandom;\n  always @(posedge clk) rst_later <= rst;\n"
    top = found[0].replace(".rst(rst)", ".rst(rst_later)").replace(port, port + register, 1)
    return verilog[:found.start()] + top + verilog[found.end():]


def _is_split(obj: Path) -> bool:
    """Whether what Verilator wrote is compiled file by file, with a precompiled header of its own, and not as one file
    that includes all."""
    return "VM_PARALLEL_BUILDS = 1" in (obj / f"V{TOP}_classes.mk").read_text()


def _make(work: Path, env: dict[str, str], say: Progress, arguments: list[str]) -> None:
    """Runs make with more `arguments`, telling now and then how many of the files are compiled."""
    obj = work / "obj"
    total = len(list(obj.glob("*.cpp"))) + 3 if _is_split(obj) else 5
    log = work / "make.log"
    with log.open("w") as out:
        process = subprocess.Popen(["make", f"-j{JOBS}", "-f", "Vspatten.mk", *arguments], cwd=obj, env=env, stdout=out,
                                   stderr=subprocess.STDOUT)
        try:
            said = -1
            while process.poll() is None:
                done = len(list(obj.glob("*.o")))
                if done != said:
                    say(f"compiling {min(done, total)}/{total}")
                    said = done
                time.sleep(0.2)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise failure("compiling the simulation failed", log)


def _generator_hash(config: SpAttenConfig, trace: bool, optimize: int | None, contracts: bool) -> str:
    text = (f"{config.hash} {trace} {optimize} {contracts} {importlib.metadata.version('amaranth')} {version()}"
            f"{variant.tag()}")
    return sources_digest((HERE / s for s in (*SOURCES, *MADE_WITH, "glue.py")), text)[:16]
