"""All of `spatten-hw build` on a board's real pins, PLL and tools, with something small in place of the system."""

import json
from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import spatten_hw.boards.build as building
from spatten_hw.boards.command import NAMES
from spatten_hw.boards.flow.devices import LFE5U_85F
from spatten_hw.boards.flow.nextpnr import Nextpnr
from spatten_hw.boards.flow.place import PLACER
from spatten_hw.boards.shell.leds import LED_COUNT
from spatten_hw.cli import main

#: Bits of the counter; its carry chain cannot run at 400 MHz.
BITS = 96


class Counter(wiring.Component):
    """The ports of `System`: UART looped back through a register, lights from a long counter."""

    def __init__(self, config, *, clock_hz, memory):
        self.config, self.clock_hz, self.memory = config, clock_hz, memory
        super().__init__({"uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "leds": Out(LED_COUNT)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(BITS)
        m.d.sync += [self.uart_tx.eq(self.uart_rx), count.eq(count + 1)]
        m.d.comb += self.leds.eq(count[-LED_COUNT:])
        return m


@pytest.fixture(autouse=True)
def counter(monkeypatch, tmp_path):
    monkeypatch.setattr(building, "System", Counter)
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path / "cache"))


def settings(config: Path) -> dict[str, list[str]]:
    """Tile or block RAM of a Trellis text → what is set in it, without its wires. Logic tiles are left out: the router
    changes the inputs of LUTs over."""
    found: dict[str, list[str]] = {}
    for block in config.read_text().split("\n\n"):
        where, *lines = block.strip().splitlines() or [""]
        rest = [line for line in lines if not line.startswith("arc:")]
        if rest and not where.endswith(":PLC2"):
            found[where] = rest
    return found


def test_bitstream_and_missed_clock(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["build", "--board", "ulx3s_85f", "--seeds", "1", "-o", str(out)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "wrote ulx3s_85f.bit and build.json" in text and "40 MHz" in text
    # An ECP5 bitstream says which part it is for.
    assert b"Part: LFE5U-85F-6CABGA381" in (out / "ulx3s_85f.bit").read_bytes()[:100]
    kept = json.loads((out / "build.json").read_text())
    assert kept["met"] and kept["bitstream"] == "ulx3s_85f.bit" and kept["mhz_per_seed"]["1"] > 40
    placed, = kept["placements"]
    assert placed["used"]["EHXPLLL"] == 1 and kept["total"]["cpu_seconds"] > 0
    assert BITS <= kept["utilisation"]["flip_flops"] <= BITS + 4
    assert any(clock["wanted"] == pytest.approx(40) for clock in placed["clocks"].values())

    # The placement is read back to be routed: what pins and PLL come to must be what one run from netlist to bitstream
    # sets.
    work = out / "work"
    Nextpnr(LFE5U_85F, work, work / "top.lpf", lambda step: None).run(
        work / "netlist.json", "once", 1, 40, "--placer", PLACER, "--textcfg", "once.config")
    once, routed = settings(work / "once.config"), settings(work / "seed1-routed1.config")
    flat = [line for lines in once.values() for line in lines]
    assert {"enum: PIOC.DRIVE 4", "enum: MODE EHXPLLL", "enum: PIOA.PULLMODE NONE"} <= set(flat) and routed == once

    # 400 MHz: told as missed, with the path along the counter, and the old bitstream is gone.
    assert main([*arguments, "--frequency", "400"]) == 1
    text = capsys.readouterr().out
    assert "MISSED: no seed reaches 400 MHz" in text and "count" in text.split("critical path")[1]
    assert not (out / "ulx3s_85f.bit").exists()
    assert json.loads((out / "build.json").read_text())["met"] is False


@pytest.mark.parametrize("name", NAMES[1:3])
def test_other_boards(name, tmp_path, capsys):
    """Pins and PLL of one more ECP5 board and of a Xilinx one, where nothing is placed and that is said."""
    out = tmp_path / "out"
    assert main(["build", "--board", name, "--seeds", "1", "-o", str(out)]) == 0
    text = capsys.readouterr().out
    kept = json.loads((out / "build.json").read_text())
    if name == "ecpix5_85f":
        assert kept["met"] and (out / f"{name}.bit").exists()
    else:
        assert "synthesis only" in text and kept["met"] is None and not kept["placements"]
        assert kept["blocks"]["top"]["cells"]["PLLE2_BASE"] == 1 and kept["utilisation"]["flip_flops"] >= BITS
