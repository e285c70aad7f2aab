"""Presets, each generated once for all tests, also by parallel workers."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import keep_digest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import json, resource, sys
from spatten_hw.generate import generate
from spatten_hw.presets import PRESETS
s = generate(PRESETS[sys.argv[1]], sys.argv[2])
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"processor_seconds": sum(u.ru_utime + u.ru_stime for u in usage),
                  "kilobytes": max(u.ru_maxrss for u in usage), "lines": s.lines,
                  "modules": s.modules, "memories": s.memories}))
"""


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """preset → (folder with its files, what generating it, in a process of its own, took). Afterwards `verilog_digest`
    knows the preset, too."""
    base = tmp_path_factory.getbasetemp()
    # The workers of one run have folders side by side.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(preset: str) -> tuple[Path, dict]:
        folder, usage = shared / f"preset-{preset}", shared / f"preset-{preset}.json"
        with (shared / f"preset-{preset}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not usage.exists():
                result = subprocess.run([sys.executable, "-c", SCRIPT, preset, folder], capture_output=True, text=True,
                                        timeout=900, env={**os.environ, "PYTHONPATH": str(ROOT)})
                assert result.returncode == 0, result.stderr
                keep_digest(PRESETS[preset], json.loads((folder / "manifest.json").read_text())["verilog_digest"])
                usage.write_text(result.stdout)
        return folder, json.loads(usage.read_text())

    return make
