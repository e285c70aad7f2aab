"""What all packages share: where they go, the shell of the vendor flow, and the description for FuseSoC."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spatten_hw.errors import UserError
from spatten_hw.generate import FILES, generate
from spatten_hw.hierarchy import modules
from spatten_hw.package import PACKAGES, package_files
from spatten_hw.package.fusesoc import WAIVED, core_name
from spatten_hw.package.ports import top_ports
from spatten_hw.package.wrapper import ADDRESS_BITS
from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.verilator import verilator_env

WAIVERS = Path(__file__).resolve().parents[1] / "verilog/waivers_verilator.json"


def test_everything_is_written_and_in_the_manifest(packaged):
    config, folder, summary = packaged
    # Another test imports what is written, and Python keeps that beside it.
    written = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__"}
    assert written == set(summary.files) and set(FILES) < written
    assert all(name in summary.text() for name in written)
    assert set(json.loads((folder / "manifest.json").read_text())["sha256"]) == written - {"manifest.json"}
    for name, text in package_files(PACKAGES, config, "spatten").items():
        assert (folder / name).read_text() == text


def test_texts_are_ascii_and_say_what_was_not_run(packaged):
    config, _, _ = packaged
    files = package_files(PACKAGES, config, "spatten")
    # Tcl and Verilog tools differ about anything else; XML names its encoding.
    assert all(text.isascii() for name, text in files.items() if not name.endswith(".xml"))
    for name in ("vivado/package_ip.tcl", "vivado/zcu104.tcl"):
        assert "not by Vivado" in files[name][:900]
    assert "no IP-XACT tool has imported it" in files["ipxact/component.xml"]


def test_bad_packages_leave_nothing(tmp_path):
    with pytest.raises(UserError, match="unknown package 'nope'; packages: vivado, fusesoc, litex, ipxact"):
        generate(PRESETS["small"], tmp_path / "x", ("litex", "nope"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").mkdir()
    (tmp_path / "x/litex").write_text("mine")
    with pytest.raises(UserError, match="litex: is not a folder"):
        generate(PRESETS["small"], tmp_path / "x", ("litex",))
    assert (tmp_path / "x/litex").read_text() == "mine" and len(list(tmp_path.rglob("*"))) == 2


def test_ports_are_those_of_the_verilog(packaged):
    config, folder, _ = packaged
    directions = {"input": "in", "output": "out"}
    found = modules((folder / "spatten.v").read_text())["spatten"].ports
    assert {n: (directions[d], w) for n, (d, w) in found.items()} == top_ports(config)


def test_shell_fits_the_accelerator(packaged):
    """Verilator finds nothing to say about the shell: every port connected, widths equal; addresses are based."""
    config, folder, _ = packaged
    result = subprocess.run(["verilator", "--lint-only", "-Wall", "-Wno-fatal", "--top-module", "spatten_axi",
                             "vivado/spatten_axi.v", "spatten.v"], cwd=folder, env=verilator_env(),
                            capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[:2000]
    said = [line for line in result.stderr.splitlines() if re.match(r"%\S+ vivado/spatten_axi\.v", line)]
    assert not said
    text = (folder / "vivado/spatten_axi.v").read_text()
    for i, channel in itertools.product(range(config.channels), ("ar", "aw")):
        zeroes = f"{ADDRESS_BITS - config.axi_addr_bits}'h0"
        port = f"m_axi_{i}_{channel}addr"
        assert f"assign {port} = M_AXI_{i}_BASE + {{{zeroes}, {port}_local}};" in text
    # Each port by its own name, but for these; the shell's reset is active low.
    inside = dict(re.findall(r"^ {8}\.(\w+)\((\S+)\)", text, re.MULTILINE))
    assert inside.pop("clk") == "aclk" and inside.pop("rst") == "!aresetn"
    assert len(inside) == len(top_ports(config)) - 2
    assert all(net.removesuffix("_local") == port for port, net in inside.items())


def test_fusesoc_lints_the_core(packaged, tmp_path):
    pytest.importorskip("fusesoc", reason="pip install 'spatten-hw[integration]'")
    config, folder, _ = packaged
    env = {**verilator_env(), "HOME": str(tmp_path)}
    result = subprocess.run(
        [Path(sys.executable).with_name("fusesoc"), "--cores-root", folder, "run", "--target", "lint",
         core_name(config)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Warning" not in result.stdout + result.stderr and "WARNING" not in result.stderr
    options = next(tmp_path.rglob("*.vc")).read_text()
    assert "--lint-only" in options and "-Wall" in options and "spatten.v" in options


def test_fusesoc_waives_what_the_project_waives():
    assert set(WAIVED) == set(json.loads(WAIVERS.read_text())["reasons"])
