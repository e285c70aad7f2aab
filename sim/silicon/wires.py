"""Wires that no placement has measured: their mean length, and what it loads a net with."""

from __future__ import annotations

import math

from .liberty import Cells
from .mapped import Mapped

#: pF per µm (0.2 fF, what minimum-pitch metal of any of these processes has; R.
#: Ho, K. Mai, M. Horowitz, "The future of wires", Proc. IEEE 89, 2001), Rent's exponent of logic, share of the die's
#: rows that is cells.
WIRE_PF, RENT, DENSITY = 0.0002, 0.6, 0.7


def wire_length(gates: int) -> float:
    """Mean length of a wire from a gate to one of its readers, in gates placed on a square, by W. Donath, "Placement
    and average interconnection lengths of computer logic", IEEE TCAS 26 (1979) 272–277."""
    if gates < 4:
        return 1.0
    p, n = RENT, float(gates)
    grown = 7 * (n ** (p - 0.5) - 1) / (4 ** (p - 0.5) - 1) - (1 - n ** (p - 1.5)) / (1 - 4 ** (p - 1.5))
    return max(1.0, 2 / 9 * grown * (1 - 4 ** (p - 1)) / (1 - n ** (p - 1)))


def wire_pf(netlist: Mapped, cells: Cells) -> float:
    """Capacitance of the wires of a net, per reader, in pF."""
    count = sum(netlist.cells.values())
    area = sum(n * cells.by_name[kind].area for kind, n in netlist.cells.items())
    return wire_length(count) * math.sqrt(area / max(count, 1) / DENSITY) * WIRE_PF


def wire_load(netlist: Mapped, cells: Cells) -> str:
    """A Liberty file of wires alone: their capacitance by number of readers."""
    each = wire_pf(netlist, cells)
    return f"""library(wires) {{
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1,pf);
  wire_load("wires") {{ resistance : 0; capacitance : {each:.6f}; area : 0; slope : 1; fanout_length(1, 1); }}
}}
"""
