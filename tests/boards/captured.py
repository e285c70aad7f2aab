"""Short reports as the tools wrote them, and a Liberty file with the least that a design needs."""

from __future__ import annotations

import json

#: `stat -json` of pyosys 0.70 after synth_ecp5 of the small preset's writer, shortened.
STAT = json.dumps({
    "creator": "Yosys 0.70", "modules": {}, "design": {"num_cells": 1289, "num_cells_by_type": {
        "$scopeinfo": 9, "CCU2C": 36, "L6MUX21": 80, "LUT4": 657, "PFUMX": 203, "TRELLIS_DPR16X4": 99,
        "TRELLIS_FF": 205, "DP16KD": 3, "PDPW16KD": 1, "MULT18X18D": 2, "spatten_row_port": 2}}})


def _cell(name: str, port: str) -> dict:
    return {"cell": name, "loc": [98, 5], "port": port}


def _hop(net: str, delay: float, source: str, start: tuple[str, str], end: tuple[str, str]) -> dict:
    return {"delay": delay, "from": _cell(*start), "net": net, "sources": [source], "to": _cell(*end),
            "type": "routing"}


LOCKED = "dut.accelerator.writer.block.builder.locked_TRELLIS_FF_Q"
STATE_VALID = "dut.accelerator.writer.block.state__valid_LUT4_D"
HELD = "dut.accelerator.writer.block.builder.held_TRELLIS_FF_Q_12"
#: What nextpnr-ecp5 0.11 writes with --report, shortened to three steps.
REPORT = json.dumps({
    "fmax": {"$glbnet$clk$TRELLIS_IO_IN": {"achieved": 98.78494262695312, "constraint": 80},
             "$glbnet$slow": {"achieved": 40.0, "constraint": 50}},
    "utilization": {"DP16KD": {"available": 208, "used": 4}, "TRELLIS_COMB": {"available": 83640, "used": 1485}},
    "critical_paths": [
        {"from": "<async>", "to": "posedge $glbnet$clk$TRELLIS_IO_IN", "path": []},
        {"from": "posedge $glbnet$clk$TRELLIS_IO_IN", "to": "posedge $glbnet$clk$TRELLIS_IO_IN", "path": [
            {"delay": 0.525, "from": _cell(LOCKED, "Q"), "to": _cell(LOCKED, "Q"), "type": "clk-to-q"},
            _hop("dut.accelerator.writer.block.builder.locked", 1.144, "spatten_hw/write/bursts.py:71",
                 (LOCKED, "Q"), (STATE_VALID, "A")),
            {"delay": 0.236, "from": _cell(STATE_VALID, "A"), "to": _cell(STATE_VALID, "F"), "type": "logic"},
            _hop("dut.accelerator.writer.block.state__valid_LUT4_D_Z[6]", 1.085,
                 "/somewhere/share/lattice/cells_map_trellis.v:108.23-108.24", (STATE_VALID, "F"), (HELD, "DI")),
            {"delay": 0.0, "from": _cell(HELD, "DI"), "to": _cell(HELD, "DI"), "type": "setup"}]}],
})

#: Two modules inside `top`, one of them twice, as the Verilog back end writes them.
VERILOG = """\
(* top =  1  *)
(* src = "spatten_hw/top.py:72" *)
module top(a, clk, rst, y);
  input [3:0] a;
  wire [3:0] a;
  input clk;
  input rst;
  output [1:0] y;
  \\top.left  left (
    .a(a[0])
  );
  part right (
    .a(a[1])
  );
endmodule

module \\top.left (a);
  input a;
  reg [7:0] deep [31:0];
  reg [7:0] shallow [15:0];
  part one (
    .a(a)
  );
endmodule

(* src = "spatten_hw/part.py:12" *)
module part(a);
  reg \\$auto$verilog_backend.cc:2355:dump_module$7  = 0;
  input a;
endmodule
"""



def _gate(name: str, area: int, inputs: str, function: str) -> str:
    tables = " ".join(f'{table}(scalar) {{ values ("0.1"); }}'
                      for table in ("cell_rise", "cell_fall", "rise_transition", "fall_transition"))
    pins = "".join(f"  pin({i}) {{ direction : input; capacitance : 0.01; }}\n" for i in inputs)
    arcs = "".join(f'timing() {{ related_pin : "{i}"; {tables} }} ' for i in inputs)
    return (f'cell ({name}) {{\n  area : {area};\n{pins}'
            f'  pin(Y) {{ direction : output; function : "{function}"; {arcs}}}\n}}\n')


#: The least that ABC maps with: it wants a buffer, and delays.
LIBERTY = "library (mini) {\n" + "".join((
    _gate("INVX1", 4, "A", "(!A)"), _gate("BUFX1", 6, "A", "A"), _gate("NAND2X1", 8, "AB", "(!(A B))"),
    _gate("NOR2X1", 12, "AB", "(!(A+B))"))) + """\
cell (DFFPOSX1) {
  area : 32;
  ff (DS0000, P0002) { next_state : "D"; clocked_on : "CLK"; }
  pin(D) { direction : input; } pin(CLK) { direction : input; clock : true; }
  pin(Q) { direction : output; function : "DS0000"; }
}
}
"""
