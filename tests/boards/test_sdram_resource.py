"""The SDRAM's pins on the ULX3S: registers in the pads, the chip's clock inverted."""

import re

from amaranth import Elaboratable, Module
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from spatten_hw.boards.shell.sdram import Sdram
from spatten_hw.boards.shell.sdram_resource import PIN_CLOCKS, connect_sdram
from spatten_hw.presets import SMALL


class Top(Elaboratable):
    def elaborate(self, platform):
        m = Module()
        memory = Sdram(25_000_000, pin_clocks=PIN_CLOCKS).build(SMALL)
        m.submodules.memory = memory
        connect_sdram(m, memory, platform)
        return m


def test_every_pin_has_its_register():
    files = ULX3S_85F_Platform().prepare(Top(), "top").files
    cells = re.findall(r"cell \\(\w+)", files["top.il"])
    outputs = {"clk_en": 1, "cs": 1, "ras": 1, "cas": 1, "we": 1, "ba": 2, "a": 13, "dqm": 2, "dq": 16}
    # A register for the value and one for the enable of each, and the enable of the clock.
    assert cells.count("OFS1P3DX") == 2 * sum(outputs.values()) + 1
    assert cells.count("IFS1P3DX") == 16 and cells.count("ODDRX1F") == 1
    assert files["top.lpf"].count("sdram_0__dq") >= 16
