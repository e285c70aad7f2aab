"""Registers written only when they change: what is merged, what must stay, and that a real block is found."""

from __future__ import annotations

import re

from spatten_hw.bus.channel_reader import ChannelReader
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
    text = to_verilog(ChannelReader(PRESETS["small"]), "reader")
    merged = clocked_registers(text)
    left = [block.split("always @(")[0] for block in merged.split("always @*")[1:]]
    assert text.count("always @*") > 50 and len(left) <= 16
    # What stays are combinational choices, and registers that take a new value in every cycle.
    edges = dict(re.findall(r"always @\(posedge clk\)\n    (\S+) +<= (\\\$\d+)", merged))
    kept = {next_: register for register, next_ in edges.items()}
    for block in left:
        first = re.search(r"^    (\\\$\d+) +=  ?(\S+?) ?;", block, re.MULTILINE)
        assert first is None or kept.get(first[1]) != first[2], block
    # Those that keep theirs are written under conditions: beats of a whole row among them.
    assert re.search(r"^      \S+ (\[\d\d+:0\] )?<= ", merged, re.MULTILINE)
