"""Product registers of an ECP5 move into its multipliers.

A MULT18X18D can register its product (Lattice FPGA-TN-02205, sysDSP usage guide: output register). Yosys does not use
that: the product travels as a bundle of wires to flip-flops wherever the placer puts them, behind 3 ns of
multiplication. Every product of this design goes to a register and nowhere else, so it can be the multiplier's own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

_PRODUCT = re.compile(r"P\d+$")
#: What a flip-flop must be for the output register to stand for it: rising edge, no reset, 0 at the start.
_PLAIN = {"CLKMUX": "CLK", "REGSET": "RESET", "GSR": "DISABLED"}


def pack_product_registers(module: Mapping[str, Any]) -> int:
    """Replaces the flip-flops behind multipliers in `module` (of a JSON netlist of Yosys) by their output registers.

    Only where each used bit of a product goes to one flip-flop alone, all with the same clock and enable and without
    reset: what the circuit does in every cycle stays the same. Returns how many flip-flops are gone."""
    cells = module["cells"]
    uses: Counter = Counter(bit for port in module["ports"].values() for bit in port["bits"])
    register_of = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) != "output":
                uses.update(bits)
        if cell["type"] == "TRELLIS_FF" and "DI" in cell["connections"]:
            register_of[cell["connections"]["DI"][0]] = name
    gone = 0
    for cell in [cell for cell in cells.values() if cell["type"] == "MULT18X18D"]:
        used = {port: bits[0] for port, bits in cell["connections"].items()
                if _PRODUCT.match(port) and bits and uses[bits[0]]}
        registers = {port: register_of[bit] for port, bit in used.items() if bit in register_of and uses[bit] == 1}
        controls = {_control(cells[name]) for name in registers.values()}
        control = controls.pop() if len(controls) == 1 else None
        if len(registers) != len(used) or control is None or _registered(cell):
            continue
        clock, enable = control
        for port, name in registers.items():
            cell["connections"][port] = cells.pop(name)["connections"]["Q"]
        cell["connections"] |= {"CLK0": [clock], "CE0": [enable], "RST0": ["0"]}
        cell["port_directions"] |= dict.fromkeys(("CLK0", "CE0", "RST0"), "input")
        cell["parameters"] |= {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0",
                               "GSR": "DISABLED", "RESETMODE": "SYNC"}
        gone += len(registers)
    return gone


def _registered(multiplier: Mapping[str, Any]) -> bool:
    return multiplier["parameters"].get("REG_OUTPUT_CLK", "NONE") != "NONE"


def _control(flip_flop: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Clock and enable (a net or "1") of a flip-flop that the output register can stand for."""
    # Yosys ends strings that look like numbers with a space.
    parameters = {name: value.strip() for name, value in flip_flop["parameters"].items()}
    connections = flip_flop["connections"]
    if any(parameters.get(name, value) != value for name, value in _PLAIN.items()):
        return None
    if connections.get("LSR", ["0"]) not in ([], ["0"]) or parameters.get("CEMUX", "CE") not in ("CE", "1"):
        return None
    enable = connections["CE"][0] if parameters.get("CEMUX", "CE") == "CE" and connections.get("CE") else "1"
    return connections["CLK"][0], enable
