"""Registers written only when they change: what is merged, what must stay, and that a real block is found."""

from __future__ import annotations

from spatten_hw.fetch.converter import BitWidthConverter
from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.registers import clocked_registers
from spatten_hw.verilog import to_verilog

BLOCK = r"""module top(clk, rst);
  reg [7:0] \$3 ;
  reg [7:0] \a.b  = 8'h00;
  wire [7:0] \$4 ;
  always @(posedge clk)
    \a.b  <= \$3 ;
  always @* begin
    if (\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
    \$3  = \a.b ;
    if (en) begin
      \$3 [3:0] = x;
    end
    if (rst) begin
      \$3  = 8'h00;
    end
  end
endmodule"""


def test_a_register_is_assigned_at_the_edge_under_its_conditions():
    text = clocked_registers(BLOCK)
    assert r"""  always @(posedge clk) begin
    if (en) begin
      \a.b [3:0] <= x;
    end
    if (rst) begin
      \a.b <= 8'h00;
    end
  end
""" in text
    assert text.count("always") == 1 and r"\$3  =" not in text


def test_a_next_value_that_is_read_elsewhere_stays():
    for reader in (r"  assign \$4  = \$3 ;", r"  always @* \$4  = \$3 [7:0];"):
        text = BLOCK.replace("endmodule", reader + "\nendmodule")
        assert clocked_registers(text) == text


def test_a_next_value_that_reads_itself_stays():
    text = BLOCK.replace("= x;", r"= \$3 [7:4];")
    assert clocked_registers(text) == text


def test_wide_registers_of_a_block_are_found():
    text = to_verilog(BitWidthConverter(PRESETS["small"]), "converter")
    # What stays are one-bit states that begin with 1 (the spare buffer's, the converter's), and a choice that is not
    # registered: nothing wide.
    left = [block for block in clocked_registers(text).split("always @*")[1:] if "wanted = 4'h0;" not in block[:120]]
    assert text.count("always @*") > 50 and len(left) <= 5
    assert all("= 1'h1;" in block.split("always @(")[0][:240] for block in left)
