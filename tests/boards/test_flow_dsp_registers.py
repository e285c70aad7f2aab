"""Product registers move into multipliers, where that changes nothing; checked on what Yosys maps, with Yosys."""

import copy
import json

import pytest

from spatten_hw.boards.flow.dsp_registers import pack_product_registers
from spatten_hw.boards.flow.tools import ToolError, run_tool, yosys_command

#: Two registered products with an enable each, one of them the other's operand, in Verilog that Yosys maps to DSPs.
DESIGN = """
module top(input clk, input first, input second, input signed [11:0] a, input signed [11:0] b, input [4:0] shift,
           output signed [23:0] x, output signed [23:0] y);
  reg signed [23:0] p, q;
  always @(posedge clk) if (first) p <= a * b;
  wire signed [11:0] c = p >>> shift;
  always @(posedge clk) if (second) q <= c * b;
  assign x = p;
  assign y = q;
endmodule
"""

#: A multiplier as far as wiring goes: every bit of its inputs is seen at its output, so none can be exchanged.
MODEL = "module MULT18X18D(%s);\n%s\n  wire [35:0] now = {%s, %s};\n  reg [35:0] kept = 0;\n" \
        "  wire clock = REG_OUTPUT_CLK == \"CLK0\" ? CLK0 : 1'b0;\n" \
        "  always @(posedge clock) if (CE0) kept <= now;\n" \
        "  assign {%s} = REG_OUTPUT_CLK == \"NONE\" ? now : kept;\nendmodule\n"
PARAMETERS = ("REG_OUTPUT_CLK", "REG_OUTPUT_CE", "REG_OUTPUT_RST", "GSR", "RESETMODE")


def model() -> str:
    a, b, p = ([f"{letter}{n}" for n in reversed(range(size))] for letter, size in (("A", 18), ("B", 18), ("P", 36)))
    others = ["CLK0", "CE0", "RST0", "SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", *(f"C{n}" for n in range(18))]
    ports = [*(f"input {name}" for name in (*a, *b, *others)), *(f"output {name}" for name in p)]
    parameters = "\n".join(f'  parameter {name} = "NONE";' for name in PARAMETERS)
    return MODEL % (", ".join(ports), parameters, ", ".join(a), ", ".join(b), ", ".join(p))


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """The design's netlist, as text; made once."""
    folder = tmp_path_factory.mktemp("mapped")
    (folder / "design.v").write_text(DESIGN)
    (folder / "map.ys").write_text(
        "read_verilog design.v\nsynth_ecp5 -nowidelut -top top\ndelete t:$scopeinfo\nselect -module top\n"
        "write_json -selected mapped.json\n")
    run_tool([*yosys_command(), "map.ys"], folder, "yosys.log")
    return (folder / "mapped.json").read_text()


def module_of(text: str):
    return json.loads(text)["modules"]["top"]


def of_type(module, kind: str):
    return {name: cell for name, cell in module["cells"].items() if cell["type"] == kind}


def equivalent(before: str, module, folder) -> None:
    """Raises `ToolError` unless `module` is what `before` is, in every cycle, whatever a multiplier computes."""
    for name, text in (("before", before), ("after", json.dumps({"modules": {"top": module}}))):
        (folder / f"{name}.json").write_text(text)
    (folder / "model.v").write_text(model())
    load = "read_json {0}.json\nread_verilog -overwrite +/ecp5/cells_sim.v\nread_verilog -overwrite model.v\n" \
           "hierarchy -top top\nproc\nflatten\nopt_clean\nrename top {0}\nselect -module {0}\n" \
           "write_rtlil -selected {0}.il\ndesign -reset\n"
    (folder / "prove.ys").write_text(
        load.format("before") + load.format("after") + "read_rtlil before.il\nread_rtlil after.il\n"
        "miter -equiv -flatten -make_assert before after miter\nhierarchy -top miter\nasync2sync\nmemory\n"
        "opt -full\nsat -verify -prove-asserts -tempinduct -set-init-zero -maxsteps 4 miter\n")
    run_tool([*yosys_command(), "prove.ys"], folder, "prove.log")


def test_both_products_register_in_their_multipliers(mapped, tmp_path):
    module = module_of(mapped)
    assert len(of_type(module, "TRELLIS_FF")) == 48 and len(of_type(module, "MULT18X18D")) == 2
    assert pack_product_registers(module) == 48
    assert not of_type(module, "TRELLIS_FF")
    enables = {cell["connections"]["CE0"][0] for cell in of_type(module, "MULT18X18D").values()}
    assert enables == {module["ports"][name]["bits"][0] for name in ("first", "second")}
    equivalent(mapped, module, tmp_path)
    assert pack_product_registers(module) == 0


def spoil(module, name: str) -> None:
    """Makes one of the first product's registers something that the multiplier has not got."""
    flip_flops = [cell for cell in of_type(module, "TRELLIS_FF").values()
                  if cell["connections"]["CE"] == module["ports"]["first"]["bits"]]
    chosen = flip_flops[3]
    if name == "reset":
        chosen["connections"]["LSR"] = module["ports"]["second"]["bits"]
    elif name == "another enable":
        chosen["connections"]["CE"] = module["ports"]["second"]["bits"]
    elif name == "inverted enable":
        for cell in flip_flops:
            cell["parameters"]["CEMUX"] = "INV"
    elif name == "starts at 1":
        chosen["parameters"]["REGSET"] = "SET"
    elif name == "seen unregistered":
        module["ports"]["y"]["bits"][0] = chosen["connections"]["DI"][0]
    else:
        raise AssertionError(name)


@pytest.mark.parametrize("name", ["reset", "another enable", "inverted enable", "starts at 1", "seen unregistered"])
def test_other_registers_stay(mapped, name):
    module = module_of(mapped)
    spoil(module, name)
    before = copy.deepcopy(module)
    assert pack_product_registers(module) == 24
    assert len(of_type(module, "TRELLIS_FF")) == 24
    kept = [cell for key, cell in of_type(module, "MULT18X18D").items() if cell == before["cells"][key]]
    assert len(kept) == 1


def test_no_enable_is_always(mapped):
    module = module_of(mapped)
    for cell in of_type(module, "TRELLIS_FF").values():
        cell["parameters"]["CEMUX"] = "1 "
        del cell["connections"]["CE"]
    assert pack_product_registers(module) == 48
    assert {cell["connections"]["CE0"][0] for cell in of_type(module, "MULT18X18D").values()} == {"1"}


def test_the_proof_sees_exchanged_wires(mapped, tmp_path):
    module = module_of(mapped)
    pack_product_registers(module)
    wires = next(iter(of_type(module, "MULT18X18D").values()))["connections"]
    wires["P3"], wires["P4"] = wires["P4"], wires["P3"]
    with pytest.raises(ToolError, match="prove failed"):
        equivalent(mapped, module, tmp_path)
