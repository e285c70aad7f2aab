"""Every preset: Verilog within time and memory, nothing from Verilator's linter and slang but what their files of
waivers name, and the ports and hierarchy of the snapshot.

After a change that is meant to move them: UPDATE_WAIVERS=1 or UPDATE_SNAPSHOTS=1 pytest tests/verilog.
"""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.verilator import verilator_env

from .snapshots import check_snapshot
from .waivers import check_warnings

ROOT = Path(__file__).resolve().parents[2]
#: Limits of `full`. Its lines stand for the time it takes to make them, which depends on the machine (25 s alone on two
#: cores of one, 47 s on another).
MAX_LINES = 450_000
MAX_KILOBYTES = 2 * 1024 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_preset(preset, generated):
    folder, usage = generated(preset)
    print(preset, usage)
    check_verilog(preset, folder)
    check_lint(preset, folder)
    check_snapshot(preset, (folder / "spatten.v").read_text())
    assert usage["lines"] <= MAX_LINES
    assert usage["kilobytes"] <= MAX_KILOBYTES
    # A module per tiny element would be thousands.
    assert 10 <= usage["modules"] <= 800
    assert usage["memories"] > 0
    check_slang(preset, folder)


def check_verilog(preset, folder):
    """Names and paths that users and vendor tools rely on."""
    text = (folder / "spatten.v").read_text()
    assert str(ROOT) not in text and not re.search(r'src = "(?:[^"]*\|)?/', text), "absolute paths in the Verilog"
    # A reserved word as a name comes out as an escaped identifier, which other tools trip over.
    escaped = set(re.findall(r"\\([a-z_]\w*) ", text))
    assert not escaped, f"reserved words used as names: {sorted(escaped)}"
    # Amaranth names a signal after the one name it is assigned to: `a, b = Signal(), Signal()` leaves `a` without.
    nameless = sorted(set(re.findall(r"\\\$signal\S*", text)))
    assert not nameless, f"signals without a name: {len(nameless)}, such as {nameless[:3]}; one assignment for each"
    port_list = re.search(r"^module spatten\(([^)]*)\);", text, re.MULTILINE).group(1)
    ports = {p.strip() for p in port_list.split(",")}
    assert {"clk", "rst", "irq", "s_axil_awvalid", "m_axi_0_arvalid"} <= ports
    assert f"m_axi_{PRESETS[preset].channels - 1}_rdata" in ports
    assert not [p for p in ports if not re.fullmatch(r"[a-z][a-z0-9_]*", p)]


def check_lint(preset, folder):
    """Verilator finds no error, and no warning but what is waived."""
    result = subprocess.run(["verilator", "--lint-only", "-Wall", "-Wno-fatal", "--top-module", "spatten", "spatten.v"],
                            cwd=folder, env=verilator_env(), capture_output=True, text=True, timeout=900)
    output = result.stdout + result.stderr
    assert "%Error" not in output, output[:2000]
    found = defaultdict(list)
    for line, kind in re.findall(r"^(%Warning-(\w+):.*)$", output, re.MULTILINE):
        found[kind].append(line)
    check_warnings("verilator", preset, found)


def check_slang(preset, folder):
    """A second parser reads it: the one top is found, no error, and no warning but what is waived."""
    pyslang = pytest.importorskip("pyslang", reason="pip install 'spatten-hw[integration]'; all else passed")
    tree = pyslang.syntax.SyntaxTree.fromFile(str(folder / "spatten.v"))
    compilation = pyslang.ast.Compilation()
    compilation.addSyntaxTree(tree)
    found = defaultdict(list)
    for d in compilation.getAllDiagnostics():
        where = f"line {tree.sourceManager.getLineNumber(d.location)}: {d.code} {d.args}"
        assert not d.isError(), where
        found[re.search(r"\((\w+)\)", str(d.code))[1]].append(where)
    assert [top.name for top in compilation.getRoot().topInstances] == ["spatten"]
    check_warnings("slang", preset, found)
