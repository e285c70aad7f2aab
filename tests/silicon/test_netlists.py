"""Netlists, the values of their nets out of a trace, buffers and power: on a circuit that is calculated by hand."""

import itertools
import re

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.silicon import units
from spatten_hw.sim.silicon.buffers import FAN_OUT, buffered
from spatten_hw.sim.silicon.gates import Cycles, activity, later, pack
from spatten_hw.sim.silicon.liberty import Cells
from spatten_hw.sim.silicon.liberty_file import parse
from spatten_hw.sim.silicon.liberty_function import compiled
from spatten_hw.sim.silicon.mapped import of_json
from spatten_hw.sim.silicon.memories import Shape, module_shapes
from spatten_hw.sim.silicon.power import SLEW, power

from .files import CIRCUIT, LIBERTY, cells, circuit


@pytest.mark.parametrize(("function", "means"), [
    ("(!((A B)+C))", lambda a, b, c: not ((a and b) or c)), ("A^B C", lambda a, b, c: (a != b) and c),
    ("A' B + C'", lambda a, b, c: (not a and b) or not c), ("!(A&B|C)'", lambda a, b, c: (a and b) or c),
    ("((A^B)^C)", lambda a, b, c: (a + b + c) % 2), ("(A*B)+(!A C)", lambda a, b, c: b if a else c)])
def test_functions(function, means):
    made = compiled(function, "ABC")
    for values in itertools.product((0, 1), repeat=3):
        assert made(*values) & 1 == int(bool(means(*values)))


@pytest.mark.parametrize("function", ["A B)", "A+", "(A", "Q", ""])
def test_no_functions(function):
    with pytest.raises(ValueError, match="function"):
        compiled(function, "AB")


def test_liberty(tmp_path):
    library = cells(tmp_path)
    flip_flop = library.by_name["DFFX1"]
    assert (flip_flop.clock, flip_flop.next_state, flip_flop.inputs) == ("CLK", "D", ("D", "CLK"))
    assert library.volts == 2 and library.leakage_unit == 1e-9
    table = next(arc.rise for arc in library.by_name["INVX1"].power)
    assert table.load == (0, 1) and table.slew == (0, 1) and table.values == ((0.5, 0.5), (2.5, 2.5))
    assert flip_flop.power[0].rise.slew == (0, 1) and flip_flop.power[0].rise.values == ((0.1, 0.1),)
    with pytest.raises(UserError, match=r"has no cell MUX2X1, which the netlist consists of"):
        library.check(["INVX1", "MUX2X1", "$mem_v2"])
    with pytest.raises(ValueError, match="ends inside"):
        parse(LIBERTY[:900])
    for text in ("", "module x; endmodule", LIBERTY[:900]):
        (tmp_path / "bad.lib").write_text(text)
        with pytest.raises(UserError, match=r"bad\.lib: is not a Liberty file"):
            Cells(tmp_path / "bad.lib")
    with pytest.raises(UserError, match="No such file"):
        Cells(tmp_path / "none.lib")


def traced(seed: int = 1, count: int = 100):
    """Random inputs of the circuit and what its register holds, two windows of `count` cycles."""
    random = np.random.default_rng(seed)
    a, b, read = (random.integers(0, 2, 2 * count, dtype=np.uint8) for _ in range(3))
    state = np.zeros(2 * count, dtype=np.uint8)
    for n in range(1, 2 * count):
        state[n] = a[n - 1] ^ state[n - 1] if n != count else 1
    bits = {2: 0 * a, 3: a, 4: b, 5: state, 8: read, 9: read}
    return bits, {net: pack(row[None])[0] for net, row in bits.items()}, Cycles.of([count, count])


def test_values_of_nets(tmp_path):
    netlist, library = circuit(tmp_path)
    assert netlist.cells == {"XOR2X1": 1, "DFFX1": 1, "NAND2X1": 1} and set(netlist.sources) == {2, 3, 4, 5, 8, 9}
    bits, known, cycles = traced()
    found = activity(netlist, library, known, cycles)
    y = 1 - (bits[5] & bits[4])
    inside = np.r_[0:99, 100:199]
    assert cycles.count == 200 and cycles.steps == 198
    assert found.toggles[7] == pytest.approx((y[inside] != y[inside + 1]).sum() / 198)
    assert found.duty[7] == pytest.approx(y.mean()) and not found.wrong and not found.unknown
    # A netlist that computes something else is found out.
    other = of_json("unit", {**CIRCUIT, "cells": {**CIRCUIT["cells"], "x": {
        "type": "NAND2X1", "connections": {"A": [3], "B": [5], "Y": [6]}}}}, library)
    (net, count), = activity(other, library, known, cycles).wrong
    assert net == 5 and count > 30
    # What the trace does not have is told.
    del known[9]
    assert activity(netlist, library, known, cycles).unknown == (9,)


def test_packed():
    bits = np.random.default_rng(0).integers(0, 2, (3, 130), dtype=np.uint8)
    words = pack(bits)
    assert words.shape == (3, 3)
    back = np.unpackbits(later(words).view(np.uint8), axis=1, bitorder="little")
    assert (back[:, :129] == bits[:, 1:]).all()


def test_power_by_hand(tmp_path):
    """V = 2: half C·V² is 2 C. Pins of 0.01 pF, wires of 0.005 pF per reader."""
    netlist, library = circuit(tmp_path)
    toggles = np.zeros(netlist.nets)
    still = power(netlist, library, toggles, 0.005)
    clock = (0.1 + 0.3) + 2 * 2 * (0.02 + 0.005)
    assert still.dynamic == pytest.approx(clock) == pytest.approx(still.clock) == pytest.approx(still.sequential)
    assert still.leakage == pytest.approx((2 + 2 + 10) * 1e-9)
    toggles[7] = 0.5                         # drives no gate: what the NAND takes inside, at no load
    assert power(netlist, library, toggles, 0.005).dynamic == pytest.approx(clock + 0.5 * 0.5)
    toggles[7], toggles[6] = 0, 1            # drives D: the XOR at 0.015 pF, and its net
    inside = 0.5 + 0.015 * 2
    assert power(netlist, library, toggles, 0.005).dynamic == pytest.approx(clock + inside + 2 * 0.015)
    toggles[6], toggles[5] = 0, 1            # Q: two gates; flip-flops have no table for it here
    assert power(netlist, library, toggles, 0.005).dynamic == pytest.approx(clock + 2 * 2 * 0.015)
    assert SLEW > 0


def test_accesses(tmp_path):
    netlist, library = circuit(tmp_path)
    _, known, cycles = traced()
    found = activity(netlist, library, known, cycles)
    (shape, reads, writes), = units.accesses(netlist, found.duty, found.toggles)
    # One of the two bits is never written.
    assert shape == Shape(32, 2) and reads == found.duty[7] and writes == pytest.approx(found.duty[3] / 2)


def test_buffers(tmp_path):
    """A net that 100 gates read: no buffer and no net has more than `FAN_OUT` readers, and all still read it."""
    library = cells(tmp_path)
    many = {f"g{n}": {"type": "INVX1", "connections": {"A": [3], "Y": [10 + n]}} for n in range(100)}
    netlist = of_json("unit", {"ports": {"a": {"direction": "input", "bits": [3]}}, "cells": many, "netnames": {
        "a": {"bits": [3], "hide_name": 0}, "z": {"bits": list(range(10, 110)), "hide_name": 0}}}, library)
    wide, repeats = buffered(netlist, library)
    readers = np.bincount(np.concatenate([pins["A"] for pins in wide.groups.values()]))
    assert readers.max() == FAN_OUT and wide.cells == {"INVX1": 100, "BUFX1": 13 + 2}
    assert set(repeats.values()) == {3} and set(wide.groups["BUFX1"]["Y"]) == set(repeats)
    assert set(wide.groups["INVX1"]["A"]) <= set(repeats)
    assert buffered(wide, library)[1] == {}
    (tmp_path / "none.lib").write_text(re.sub(r"cell \(BUFX1\).*\n", "", LIBERTY))
    with pytest.raises(UserError, match="has no buffer"):
        buffered(netlist, Cells(tmp_path / "none.lib"))


def test_shapes_of_memories():
    text = """module m(clk);
  reg [7:0] few [15:0];
  reg [11:0] two [31:0];
  initial begin : two_zero
    for (zeroed = 0; zeroed < 32; zeroed = zeroed + 1) two[zeroed] = 12'h0;
  end
  always @(posedge clk) if (en)
      two[at] <= data;
  always @(posedge clk) _0_ <= two[x];
  assign y = two[other];
  reg bits [63:0];
  assign z = bits[x];
endmodule
"""
    assert module_shapes(text) == {"two": Shape(32, 12, 2, 1), "bits": Shape(64, 1)}
    assert str(Shape(32, 12, 2, 1)) == "32 × 12, 2R1W" and Shape(64, 1).bits == 64
