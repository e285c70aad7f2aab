"""Which modules are compiled once: those that cost most by being many, without what is inside them."""

import pytest

from spatten_hw.sim.harness.repeated import LEAST, configuration, repeated


def module(name, size, **children):
    """Verilog of about `size` characters with so many instances of each child."""
    instances = "".join(f"  {child} {child}_{n} (\n    .clk(clk)\n  );\n"
                        for child, times in children.items() for n in range(times))
    return f"module {name}(clk);\n  input clk;\n{instances}  // {'x' * size}\nendmodule\n"


PORT = LEAST // 2
#: Three ports of a converter and two FIFOs each, eight FIFOs more, one large unit.
DESIGN = "".join((module("top", 100, port=3, fifo=8, unit=1), module("port", PORT, converter=1, fifo=2),
                  module("converter", LEAST), module("fifo", LEAST // 9), module("unit", 5 * LEAST)))


def test_what_is_inside_is_compiled_with_it():
    # Of 14 FIFOs 10 are left when the ports are compiled once: nine too many, which is as much as is worth it.
    assert repeated(DESIGN, "top") == ["port", "fifo"]


def test_not_what_is_too_small():
    assert repeated(DESIGN.replace("fifo fifo_7 (", "other other_7 ("), "top") == ["port"]


def test_configuration():
    assert configuration(DESIGN, "top").splitlines()[:3] == [
        "`verilator_config", 'no_inline -module "port"', 'public_flat_rd -module "port" -port "*"']


@pytest.mark.parametrize("text", ["", "module top(a", module("other", 1)])
def test_no_such_design(text):
    assert configuration(text, "top") == "`verilator_config\n"
