"""A small unit all the way: Yosys, fake pins, nextpnr, clocks; the cache; what does not fit or fails."""

import dataclasses

import pytest
from amaranth import Cat, Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from spatten_hw.boards.flow import synthesis
from spatten_hw.boards.flow.blocks import Design
from spatten_hw.boards.flow.devices import LFE5U_85F, XC7A100T
from spatten_hw.boards.flow.families import FAMILIES
from spatten_hw.boards.flow.place import place
from spatten_hw.boards.flow.platform import FAKE_TOP, FakePins
from spatten_hw.boards.flow.synthesis import assemble, synthesise
from spatten_hw.boards.flow.tools import ToolError
from spatten_hw.errors import UserError
from spatten_hw.shared import own_reset
from spatten_hw.stream.fifo import StreamFifo
from spatten_hw.stream.skid import SpareBuffer
from spatten_hw.verilog import to_verilog

#: A queue in block RAM, and as much logic as that takes.
UNIT = "queue"


@pytest.fixture(scope="module")
def design():
    text = to_verilog(StreamFifo(unsigned(51), 64), UNIT)
    pins = to_verilog(FakePins(UNIT, Design(text).ports(UNIT)), FAKE_TOP)
    return Design(text + pins)


def test_unit_to_clock(design, tmp_path):
    """Synthesis, cache and placement; a clock that is missed is reported as missed, with its path."""
    cache, work = tmp_path / "cache", tmp_path / "work"
    work.mkdir()
    netlist, blocks, usage = assemble(design, FAKE_TOP, FAMILIES["ecp5"], cache, [UNIT], work)
    assert [b.module for b in blocks] == [UNIT, FAKE_TOP] and not any(b.cached for b in blocks)
    unit, pins = (b.utilisation for b in blocks)
    # The queue is in block RAM; a flip-flop per bit of an input, two per bit of an output.
    assert unit.brams >= 2 and 0 < unit.luts < 400 and unit.dsps == 0
    ports = design.ports(UNIT)
    wide = sum(p.width * (1 if p.direction == "input" else 2) for p in ports if p.name not in ("clk", "rst"))
    assert wide <= pins.flip_flops <= wide + 3
    _, again, _ = assemble(design, FAKE_TOP, FAMILIES["ecp5"], cache, [UNIT], work)
    assert all(b.cached for b in again) and [b.cells for b in again] == [b.cells for b in blocks]
    assert usage.seconds > 0

    result = place(netlist, LFE5U_85F, 1, 1000, work, routings=2)
    assert len(result.routings) == 2 and result.slowest.reached == max(result.routings)
    assert not result.met and 50 < result.slowest.reached < 1000 and result.slowest.wanted == 1000
    assert result.used["DP16KD"] == unit.brams and result.available["TRELLIS_COMB"] == LFE5U_85F.holds.luts
    assert result.paths[0].delay == pytest.approx(1000 / result.slowest.reached, rel=0.01)
    assert result.config.stat().st_size > 0

    # The same without routing: the MHz that nextpnr says of the placement are those of the path we name.
    placed = place(netlist, LFE5U_85F, 1, 1000, work, routings=0)
    assert placed.stuck and not placed.met and placed.config is None and placed.used == result.used
    assert placed.paths[0].delay == pytest.approx(1000 / placed.slowest.reached, rel=0.001)
    assert [p.delay for p in placed.paths] == sorted((p.delay for p in placed.paths), reverse=True)


def test_xilinx_synthesis(design, tmp_path):
    block = synthesise(design, UNIT, FAMILIES["xc7"], tmp_path)
    # 64 words are LUT RAM there.
    assert block.utilisation.lut_ram > 0 and block.utilisation.luts < 400
    with pytest.raises(UserError, match="xc7a100t: no open tool"):
        place(block.netlist, XC7A100T, 1, 100, tmp_path)


def test_bad_verilog_is_named(tmp_path):
    broken = Design("module broken(a);\n  input a;\n  assign = 1;\nendmodule\n")
    with pytest.raises(ToolError, match=r"yosys failed .*ERROR.*see .*yosys\.log"):
        synthesise(broken, "broken", FAMILIES["ecp5"], tmp_path)
    assert not list(tmp_path.glob("ecp5-*"))


@pytest.mark.parametrize("name", ["ecp5", "xc7", "xcup"])
def test_where_a_mapper_fails_another_maps(name, design, tmp_path, monkeypatch):
    """An assertion of Yosys in its newer mapper, which comes and goes with the netlist; here any failure is one."""
    monkeypatch.setattr(synthesis, "ASSERTION", "ERROR: No such command: broken_mapper")
    family = FAMILIES[name]
    usual = synthesise(design, UNIT, family, tmp_path / "usual")
    failing = dataclasses.replace(family, synth="broken_mapper -top {top}")
    other = synthesise(design, UNIT, failing, tmp_path / "other")
    assert other.retried and not usual.retried
    assert UNIT in other.remark and not usual.remark
    assert other.utilisation.brams == usual.utilisation.brams
    assert other.utilisation.flip_flops == usual.utilisation.flip_flops
    assert 0 < other.utilisation.luts < 1.3 * usual.utilisation.luts
    assert synthesise(design, UNIT, failing, tmp_path / "other").retried
    with pytest.raises(ToolError, match="broken_mapper"):
        synthesise(design, UNIT, dataclasses.replace(failing, retry=""), tmp_path / "neither")


class Resets(wiring.Component):
    """Two units' reset registers, which are equal."""

    seen: Out(2)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.seen.eq(Cat(own_reset(m, "one"), own_reset(m, "other")))
        return m


def test_a_reset_register_per_unit_is_left(tmp_path):
    text = to_verilog(Resets(), "resets")
    for verilog, left in ((text, 2), (text.replace("keep = ", "kept = "), 1)):
        assert synthesise(Design(verilog), "resets", FAMILIES["ecp5"], tmp_path).cells["TRELLIS_FF"] == left


def test_a_spare_buffer_selects_and_enables_by_registers_of_their_own(tmp_path):
    """Yosys leaves equal registers alone if both are marked; of one that is and one that is not it leaves one."""
    text = to_verilog(SpareBuffer(8), "buffer")
    one = text.replace("keep = ", "kept = ", text.count("keep = ") - 1)
    for verilog, state in ((text, 2), (one, 1)):
        assert synthesise(Design(verilog), "buffer", FAMILIES["ecp5"], tmp_path).cells["TRELLIS_FF"] == 8 + state
