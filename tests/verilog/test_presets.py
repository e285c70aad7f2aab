"""Every preset: Verilog within time and memory, nothing from Verilator's linter but what waivers.json names, and the
ports and hierarchy of the snapshot.

waivers.json has a reason for every kind of warning and an upper bound per preset. After a change that is meant to
move them: UPDATE_WAIVERS=1 pytest tests/verilog; for snapshots UPDATE_SNAPSHOTS=1.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sim.harness.verilator import verilator_env
from spatten_hw.presets import PRESETS

from .snapshots import check_snapshot

ROOT = Path(__file__).resolve().parents[2]
WAIVERS = Path(__file__).with_name("waivers.json")
#: Limits of `full`. Its lines stand for the time it takes to make them, which depends on the machine (25 s alone on two
#: cores of one, 47 s on another).
MAX_LINES = 450_000
MAX_KILOBYTES = 2 * 1024 * 1024

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


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_preset(preset, tmp_path):
    # One test for both, so that parallel workers do not generate the same preset twice.
    folder = tmp_path / "out"
    result = subprocess.run([sys.executable, "-c", SCRIPT, preset, folder], capture_output=True, text=True,
                            timeout=900, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert result.returncode == 0, result.stderr
    usage = json.loads(result.stdout)
    print(preset, usage)
    check_verilog(preset, folder)
    check_lint(preset, folder)
    check_snapshot(preset, (folder / "spatten.v").read_text())
    assert usage["lines"] <= MAX_LINES
    assert usage["kilobytes"] <= MAX_KILOBYTES
    # A module per tiny element would be thousands.
    assert 10 <= usage["modules"] <= 800
    assert usage["memories"] > 0


def check_verilog(preset, folder):
    """Names and paths that users and vendor tools rely on."""
    text = (folder / "spatten.v").read_text()
    assert str(ROOT) not in text, "absolute paths in the Verilog"
    # A reserved word as a name comes out as an escaped identifier, which other tools trip over.
    escaped = set(re.findall(r"\\([a-z_]\w*) ", text))
    assert not escaped, f"reserved words used as names: {sorted(escaped)}"
    port_list = re.search(r"^module spatten\(([^)]*)\);", text, re.MULTILINE).group(1)
    ports = {p.strip() for p in port_list.split(",")}
    assert {"clk", "rst", "irq", "s_axil_awvalid", "m_axi_0_arvalid"} <= ports
    assert f"m_axi_{PRESETS[preset].channels - 1}_rdata" in ports
    assert not [p for p in ports if not re.fullmatch(r"[a-z][a-z0-9_]*", p)]


def check_lint(preset, folder):
    """No kind of warning that is not waived, and not more of a kind."""
    result = subprocess.run(["verilator", "--lint-only", "-Wall", "-Wno-fatal", "--top-module", "spatten", "spatten.v"],
                            cwd=folder, env=verilator_env(), capture_output=True, text=True, timeout=900)
    output = result.stdout + result.stderr
    assert "%Error" not in output, output[:2000]
    counts = Counter(re.findall(r"^%Warning-(\w+):", output, re.MULTILINE))
    waivers = json.loads(WAIVERS.read_text())
    if os.environ.get("UPDATE_WAIVERS"):
        # Rounded up, so that small changes elsewhere do not touch this file.
        waivers["most"][preset] = {kind: -(-int(n * 1.1) // 10) * 10 for kind, n in sorted(counts.items())}
        WAIVERS.write_text(json.dumps(waivers, indent=2) + "\n")
    unknown = sorted(set(counts) - set(waivers["reasons"]))
    first = re.search(rf"^%Warning-{unknown[0]}:.*$", output, re.MULTILINE).group(0) if unknown else ""
    assert not unknown, f"new kinds of warning: {first}"
    most = waivers["most"].get(preset, {})
    above = {kind: (n, most.get(kind, 0)) for kind, n in counts.items() if n > most.get(kind, 0)}
    assert not above, f"more warnings than waived (kind: count, most): {above}"
