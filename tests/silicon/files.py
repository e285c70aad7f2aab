"""A library of six cells with tables that are easy to calculate with, and a circuit in them as Yosys' JSON."""

from __future__ import annotations

from pathlib import Path

from spatten_hw.sim.silicon.liberty import Cells
from spatten_hw.sim.silicon.mapped import Mapped, of_json


def _gate(name: str, area: int, pins: str, function: str) -> str:
    """0.5 pJ inside per transition, 2 pJ and 4 pJ of rise and fall by load; slew 0.1 ns always."""
    inputs = "".join(f"pin({p}) {{ direction : input; capacitance : 0.01; }} " for p in pins)
    table = 'rise_power(t) { index_1 ("0.0, 1.0"); index_2 ("0.0, 1.0"); values ("0.5, 0.5", "2.5, 2.5"); }'
    slew = ('timing() { related_pin : "A"; rise_transition(t) { index_1 ("0, 1"); index_2 ("0, 1"); '
            'values ("0.1, 0.1", "0.1, 0.1"); } }')
    return (f"cell ({name}) {{ area : {area}; cell_leakage_power : 2; {inputs}"
            f'pin(Y) {{ direction : output; function : "{function}"; internal_power() {{ related_pin : "A"; '
            f'{table} {table.replace("rise", "fall")} }} {slew} }} }}\n')


LIBERTY = """library (mini) {
  nom_voltage : 2.0; leakage_power_unit : "1nW"; capacitive_load_unit (1,pf);
  power_lut_template (t) { variable_1 : total_output_net_capacitance; variable_2 : input_transition_time; }
  power_lut_template (p) { variable_1 : input_transition_time; }
""" + "".join((_gate("INVX1", 4, "A", "(!A)"), _gate("BUFX1", 6, "A", "A"), _gate("NAND2X1", 8, "AB", "(!(A B))"),
               _gate("XOR2X1", 16, "AB", "(A^B)"), _gate("AOI21X1", 12, "ABC", "(!((A B)+C))"))) + """
  cell (DFFX1) {
    area : 32; cell_leakage_power : 10;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CLK"; }
    pin(D) { direction : input; capacitance : 0.01; }
    pin(CLK) { direction : input; capacitance : 0.02; clock : true;
      internal_power() { rise_power(p) { index_1 ("0, 1"); values ("0.1, 0.1"); }
                         fall_power(p) { index_1 ("0, 1"); values ("0.3, 0.3"); } } }
    pin(Q) { direction : output; function : "IQ"; }
  }
}
"""

#: q <= a ^ q, y = !(q & b), and a memory of 32 words that y enables.
CIRCUIT = {
    "ports": {"clk": {"direction": "input", "bits": [2]}, "a": {"direction": "input", "bits": [3]},
              "b": {"direction": "input", "bits": [4]}, "y": {"direction": "output", "bits": [7]}},
    "cells": {
        "x": {"type": "XOR2X1", "connections": {"A": [3], "B": [5], "Y": [6]}},
        "r": {"type": "DFFX1", "connections": {"CLK": [2], "D": [6], "Q": [5]}},
        "n": {"type": "NAND2X1", "connections": {"A": [5], "B": [4], "Y": [7]}},
        "m": {"type": "$mem_v2", "parameters": {
            "ABITS": "101", "WIDTH": "10", "SIZE": "100000", "RD_PORTS": "1", "WR_PORTS": "1", "RD_CLK_ENABLE": "1"},
            "connections": {"RD_EN": [7], "RD_DATA": [8, 9], "RD_ADDR": [3, 3, 4, "0", "x"], "WR_EN": [3, "0"],
                            "WR_DATA": [5, 5], "WR_ADDR": ["0", "0", "0", "0", "0"]}},
    },
    "netnames": {name: {"bits": bits, "hide_name": 0} for name, bits in {
        "clk": [2], "a": [3], "b": [4], "part.state": [5], "y": [7], "part._0_": [8, 9]}.items()},
}


def cells(folder: Path) -> Cells:
    path = folder / "mini.lib"
    path.write_text(LIBERTY)
    return Cells(path)


def circuit(folder: Path) -> tuple[Mapped, Cells]:
    library = cells(folder)
    return of_json("unit", CIRCUIT, library), library
