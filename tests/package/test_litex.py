"""A LiteX SoC with the wrapper: its Verilog is built and fits the accelerator's, port by port."""

import re
import subprocess
import sys

import pytest

from spatten_hw.sim.harness.verilator import verilator_env

SOC = """
import sys
sys.path.insert(0, sys.argv[1])
from litex.build.generic_platform import Pins
from litex.build.lattice import LatticePlatform
from litex.gen import LiteXModule
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCCore
from migen import ClockDomain
from spatten_litex import CHANNELS, SpAtten, add_spatten


class Clock(LiteXModule):
    def __init__(self, platform):
        self.cd_sys = ClockDomain()
        self.comb += [self.cd_sys.clk.eq(platform.request("clk")), self.cd_sys.rst.eq(platform.request("rst"))]


platform = LatticePlatform("LFE5U-85F-6BG381C", [("clk", 0, Pins("A1")), ("rst", 0, Pins("A2"))], toolchain="trellis")
soc = SoCCore(platform, 50e6, cpu_type=None, integrated_sram_size=0, integrated_main_ram_size=0x10000,
              with_uart=False, with_timer=False)
soc.crg = Clock(platform)
ram = soc.bus.regions["main_ram"].origin
try:
    SpAtten(platform)
except ValueError as error:
    print("refused:", error)
add_spatten(soc, origin=0x3000_0000, bases=[ram + 0x8000 * i for i in range(CHANNELS)])
Builder(soc, output_dir=sys.argv[2], compile_software=False, compile_gateware=False).build(run=False, build_name="soc")
"""


def test_soc_is_built_and_fits(packaged, tmp_path):
    pytest.importorskip("litex", reason="pip install 'spatten-hw[integration]'")
    config, folder, _ = packaged
    result = subprocess.run([sys.executable, "-c", SOC, folder / "litex", tmp_path / "soc"], capture_output=True,
                            text=True, timeout=300, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "refused: bases: the bus addresses of 2 channel memories are needed" in result.stdout
    verilog = tmp_path / "soc/gateware/soc.v"
    text = verilog.read_text()
    # The register slave is decoded, both memory ports are masters, and each has its base added.
    assert "spatten spatten" in text
    for i in range(config.channels):
        for channel in ("aw", "ar"):
            net = re.search(rf"\.m_axi_{i}_{channel}addr\s*\((\w+)\)", text)[1]
            assert re.search(rf"_payload_addr = \({net} \+ \d+'d{0x4000_0000 + 0x8000 * i}\);", text)
            assert re.search(rf"^wire +\[{config.axi_addr_bits - 1}:0\] +{net};", text, re.MULTILINE)
    lint = subprocess.run(["verilator", "--lint-only", "-Wall", "-Wno-fatal", "--top-module", "soc", verilog,
                           folder / "spatten.v"], env=verilator_env(), capture_output=True, text=True, timeout=300)
    assert lint.returncode == 0, lint.stderr[:2000]
    # Names and widths at the instance (LiteX's own text has other warnings).
    at = text[:text.index("spatten spatten")].count("\n") + 1
    end = at + text[text.index("spatten spatten"):].split(");")[0].count("\n")
    lines = [(kind, int(line)) for kind, line in re.findall(rf"^%(\S+): {re.escape(str(verilog))}:(\d+)", lint.stderr,
                                                          re.MULTILINE)]
    assert not [w for w in lines if w[0].startswith("Error") or "PIN" in w[0] or (at <= w[1] <= end)]
