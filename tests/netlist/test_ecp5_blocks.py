"""Our models of ECP5's multiplier and block RAM: what Yosys maps to them does what the Verilog did."""

import ctypes

import pytest

from spatten_hw.boards.flow.tools import run_tool, yosys_command
from spatten_hw.errors import UserError
from spatten_hw.sim.harness.kept import library_dir
from spatten_hw.sim.harness.verilator import call, shared_runtime, verilate, verilator_env, version
from spatten_hw.sim.netlist import ecp5

#: Cycles compared: every word that is used is written and read some dozen times.
CYCLES = 20_000
WIDTHS = (1, 2, 4, 9, 18, 36)

#: Products of all signs, registered and not; a memory for every width of a block RAM's port; one with contents.
DESIGN = """
module rtl(input clk, input [17:0] a, input [17:0] b, input we, input [13:0] write_at, input [13:0] read_at,
           output [35:0] signed_product, output [35:0] product, output [35:0] mixed, {outputs}, output reg [8:0] rom);
  reg [35:0] kept = 0;
  always @(posedge clk) if (we) kept <= $signed(a) * $signed(b);
  assign signed_product = kept;
  assign product = a * b;
  assign mixed = $signed({{1'b0, a[11:0]}}) * $signed(b[11:0]);
{memories}
  (* ram_style = "block" *) reg [8:0] filled [0:2047];
  integer n;
  initial for (n = 0; n < 2048; n = n + 1) filled[n] = (n * 37 + 11) ^ (n >> 3);
  always @(posedge clk) rom <= filled[read_at[10:0]];
endmodule
"""
MEMORY = """
  (* ram_style = "block" *) reg [{high}:0] memory_{width} [0:{last}];
  always @(posedge clk) begin
    if (we) memory_{width}[write_at[{top}:0]] <= {{a, b}};
    q{width} <= memory_{width}[read_at[{top}:0]];
  end
"""
#: Both side by side under the same random inputs. Addresses: 64 words at either end, so that they meet.
BENCH = """
module bench(input clk, output reg [31:0] wrong, output reg [31:0] cycles);
  reg [63:0] random = 64'h1234_5678_9abc_def1;
  wire [13:0] write_at = {{{{8{{random[0]}}}}, random[6:1]}};
  wire [13:0] read_at = {{{{8{{random[7]}}}}, random[13:8]}};
  wire [{size}:0] first, second;
  rtl one({inputs}, {first});
  mapped other({inputs}, {second});
  initial begin wrong = 0; cycles = 0; end
  always @(posedge clk) begin
    random <= {{random[62:0], random[63] ^ random[62] ^ random[60] ^ random[59]}} * 3 + cycles;
    cycles <= cycles + 1;
    if (first !== second && cycles > 2) wrong <= wrong + 1;
  end
endmodule
"""
MAIN = """
#include "Vbench.h"
double sc_time_stamp() { return 0; }
extern "C" __attribute__((visibility("default"))) unsigned run(unsigned cycles) {
  VerilatedContext context; Vbench bench(&context);
  for (unsigned n = 0; n < cycles; n++) { bench.clk = 0; bench.eval(); bench.clk = 1; bench.eval(); }
  return bench.wrong;
}
"""


def simulate(folder, mapped: str, models: str, design: str) -> int:
    """Cycles in which `design` and its netlist `mapped` differ."""
    sizes = {"signed_product": 36, "product": 36, "mixed": 36, **{f"q{w}": w for w in WIDTHS}, "rom": 9}
    at, ports = 0, {"first": [], "second": []}
    for name, size in sizes.items():
        for side, found in ports.items():
            found.append(f".{name}({side}[{at + size - 1}:{at}])")
        at += size
    inputs = ".clk(clk), .a(random[31:14]), .b(random[49:32]), .we(random[50]), .write_at(write_at), .read_at(read_at)"
    bench = BENCH.format(size=at - 1, inputs=inputs, first=", ".join(ports["first"]),
                         second=", ".join(ports["second"]))
    folder.mkdir()
    (folder / "bench.v").write_text(design + mapped + models + bench)
    (folder / "main.cpp").write_text(MAIN)
    env = verilator_env("-O0", "-O0")
    verilate(folder, "bench", "main.cpp", env)
    with shared_runtime(folder / "obj", library_dir() / f"runtime-{version()}-0-0"):
        call(["make", "-f", "Vbench.mk"], folder / "obj", env, folder / "make.log")
    return ctypes.CDLL(str(folder / "libbench.so")).run(CYCLES)


def test_models(tmp_path):
    memories = "".join(MEMORY.format(width=w, high=w - 1, last=16384 // {9: 8, 18: 16, 36: 32}.get(w, w) - 1,
                                     top=13 - {9: 3, 18: 4, 36: 5}.get(w, w.bit_length() - 1)) for w in WIDTHS)
    design = DESIGN.format(outputs=", ".join(f"output reg [{w - 1}:0] q{w}" for w in WIDTHS), memories=memories)
    (tmp_path / "design.v").write_text(design)
    (tmp_path / "map.ys").write_text(
        "read_verilog design.v\nsynth_ecp5 -noabc9 -nowidelut -top rtl\nrename rtl mapped\ndelete t:$scopeinfo\n"
        "tee -q -o stat.txt stat\nselect -module mapped\nwrite_verilog -selected -noattr -nohex mapped.v\n")
    run_tool([*yosys_command(), "map.ys"], tmp_path, "yosys.log")
    mapped = (tmp_path / "mapped.v").read_text()
    for width in WIDTHS:
        assert f".DATA_WIDTH_A(32'd{width})" in mapped, f"no port of {width} bits was mapped"
    assert mapped.count("MULT18X18D #") + mapped.count("MULT18X18D ") >= 3
    models = ecp5.models()
    assert simulate(tmp_path / "right", mapped, models, design) == 0
    # The comparison sees a model that is wrong.
    broken = models.replace("SIGNEDA & a[17]", "a[17]")
    assert broken != models and simulate(tmp_path / "wrong", mapped, broken, design) > CYCLES // 10


def test_other_modes_are_refused():
    pins = {"WEB": ["0"], "RSTA": ["0"], "RSTB": ["0"], "CSA0": ["0"]}
    ecp5.check({"cells": {"m": {"type": "DP16KD", "connections": pins}}})
    with pytest.raises(UserError, match="DP16KD m: pin WEB is not 0"):
        ecp5.check({"cells": {"m": {"type": "DP16KD", "connections": pins | {"WEB": [7]}}}})
    with pytest.raises(UserError, match="MULT18X18D x: pin SOURCEA"):
        ecp5.check({"cells": {"x": {"type": "MULT18X18D", "connections": {"SOURCEA": [3]}}}})
