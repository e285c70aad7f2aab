"""What the flow reads of its tools: cell counts, clocks, critical paths, Liberty files, and Verilog's modules."""

import json

import pytest
from amaranth import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spatten_hw.boards.flow.blocks import Design, Port
from spatten_hw.boards.flow.devices import LFE5U_85F
from spatten_hw.boards.flow.families import FAMILIES, Utilisation
from spatten_hw.boards.flow.netlist import prepare, read_sources
from spatten_hw.boards.flow.nextpnr import Clock, read_report
from spatten_hw.boards.flow.paths import design_name, read_paths
from spatten_hw.boards.flow.standard_cells import Liberty, sram_bits
from spatten_hw.boards.flow.synthesis import LARGE, read_cells, without_zeroes
from spatten_hw.errors import UserError
from spatten_hw.verilog import to_verilog

from .captured import LIBERTY, REPORT, STAT, VERILOG


def test_cells_become_utilisation():
    cells = read_cells(STAT, {"spatten_row_port"})
    assert "spatten_row_port" not in cells and "$scopeinfo" not in cells
    used = FAMILIES["ecp5"].utilisation(cells)
    # Two LUTs per CCU2C, six per 16×4 memory.
    assert used == Utilisation(luts=657 + 2 * 36 + 6 * 99, carry=72, lut_ram=594, flip_flops=205, dsps=2, brams=4)
    assert used * 3 + used == used * 4


def test_xilinx_counts_half_block_rams():
    used = FAMILIES["xc7"].utilisation({"LUT6": 3, "LUT2": 1, "RAM32M": 2, "RAMB18E1": 3, "RAMB36E1": 1, "DSP48E1": 5,
                                        "FDRE": 7, "CARRY4": 9})
    assert used == Utilisation(luts=12, lut_ram=8, flip_flops=7, dsps=5, brams=2.5)


def test_report_of_place_and_route():
    clocks, used, available = read_report(REPORT)
    assert clocks == {"clk$TRELLIS_IO_IN": Clock(98.78, 80), "slow": Clock(40, 50)}
    assert [c.met for c in clocks.values()] == [True, False]
    assert used["TRELLIS_COMB"] == 1485 and available["DP16KD"] == 208


def test_critical_path_is_named_after_the_design():
    path, = read_paths(REPORT)
    assert (path.start, path.end, path.unit) == ("writer.builder.locked", "writer.builder.held", "writer")
    assert path.levels == 1 and path.delay == pytest.approx(2.99) and path.routing == pytest.approx(2.229)
    assert [(s.signal, s.source) for s in path.steps] == [
        ("writer.builder.locked", "spatten_hw/write/bursts.py:71"), ("writer.state__valid", "")]
    assert "writer.builder.locked  (spatten_hw/write/bursts.py:71)" in path.text()


def test_sources_are_kept_beside_the_netlist(tmp_path):
    """Nothing in what nextpnr reads depends on lines or folders; paths are told with their lines all the same."""
    netlist = tmp_path / "netlist.json"
    cell = {"type": "TRELLIS_FF", "connections": {}, "port_directions": {}, "attributes": {"src": "/usr/cells.v:1"}}
    nets = {"dut.a": {"bits": [2], "attributes": {"src": "spatten_hw/a.py:7|/usr/cells.v:1", "keep": "1"}},
            "b": {"bits": [3], "attributes": {}}}
    netlist.write_text(json.dumps({"modules": {"top": {
        "attributes": {"src": "top.py:1"}, "ports": {}, "cells": {"x": cell}, "netnames": nets}}}))
    prepare(netlist, LFE5U_85F)
    assert "src" not in netlist.read_text() and '"keep"' in netlist.read_text()
    sources = read_sources(netlist)
    assert sources == {"dut.a": "spatten_hw/a.py:7|/usr/cells.v:1"} and read_sources(tmp_path / "x" / "y.json") == {}
    report = json.loads(REPORT)
    for piece in (piece for path in report["critical_paths"] for piece in path["path"] if piece["type"] == "routing"):
        piece |= {"net": "dut.a[3]", "sources": []}
    path, = read_paths(json.dumps(report), sources)
    assert {step.source for step in path.steps} == {"spatten_hw/a.py:7"}


@pytest.mark.parametrize(("cell", "name"), [
    ("dut.accelerator.fetcher.block.keys.row_port0.block.queue.level_TRELLIS_FF_Q_3_DI", "fetcher.keys.row_port0"
     ".queue.level"),
    ("system.accelerator.score.block.array.sum_CCU2C_S0_4", "score.array.sum"),
    ("system.bridge.length[4]", "system.bridge.length[4]"),
    ("dut.softmax.rows.storage.0.11_DO_1", "softmax.rows.storage"),
    ("\\$signal$18_TRELLIS_FF_Q_3", "$signal$18"),
])
def test_names(cell, name):
    assert design_name(cell) == name


def test_modules_of_a_design():
    design = Design(VERILOG)
    assert list(design.modules) == ["top", "\\top.left", "part"]
    assert design.children["top"] == {"\\top.left": 1, "part": 1}
    assert design.occurrences("top") == {"\\top.left": 1, "part": 2}
    assert design.closure("top", ["part"]) == ["top", "\\top.left"]
    assert design.ports("top") == [Port("a", "input", 4), Port("clk", "input", 1), Port("rst", "input", 1),
                                   Port("y", "output", 2)]
    # Source references and the back end's numbers move with what is above; the digest does not.
    moved = Design(VERILOG.replace("part.py:12", "part.py:13").replace("dump_module$7", "dump_module$38"))
    assert moved.digest(["part"]) == design.digest(["part"])
    assert Design(VERILOG.replace("a[1]", "a[2]")).digest(["top"]) != design.digest(["top"])
    # 32 words are SRAM, 16 become flip-flops.
    assert sram_bits(design, ["\\top.left", "part"]) == 256


def test_liberty(tmp_path):
    path = tmp_path / "mini.lib"
    path.write_text(LIBERTY)
    liberty = Liberty(path)
    assert liberty.areas == {"INVX1": 4, "BUFX1": 6, "NAND2X1": 8, "NOR2X1": 12, "DFFPOSX1": 32}
    assert liberty.gates({"DFFPOSX1": 2, "INVX1": 1, "$mem_v2": 1}) == 8.5
    path.write_text("nothing of the kind")
    with pytest.raises(UserError, match="no two-input NAND"):
        Liberty(path)
    with pytest.raises(UserError, match="No such file"):
        Liberty(tmp_path / "other.lib")


class Memories(wiring.Component):
    """A small memory of zeroes, a large one, and a large one with a number in it."""

    port: In(16)
    seen: Out(24)

    def elaborate(self, platform):
        m = Module()
        for n, (depth, init) in enumerate([(4, []), (LARGE, []), (LARGE, [1])]):
            m.submodules[f"m{n}"] = ram = Memory(shape=unsigned(8), depth=depth, init=init)
            write, read = ram.write_port(), ram.read_port()
            m.d.comb += [write.addr.eq(self.port), write.data.eq(self.port), write.en.eq(self.port[-1]),
                         read.addr.eq(self.port), read.en.eq(1), self.seen[8 * n:8 * n + 8].eq(read.data)]
        return m


def test_large_memories_lose_their_zeroes_alone():
    text = to_verilog(Memories(), "memories")
    kept = without_zeroes(text)
    assert f"zeroed < {LARGE};" in text and "zeroed < 4;" in text
    assert f"zeroed < {LARGE};" not in kept and "zeroed < 4;" in kept and "= 8'h01;" in kept
    assert len(text) - len(kept) < 200
