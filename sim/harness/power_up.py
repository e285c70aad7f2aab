"""Verilog that starts as a chip does: what no reset sets holds anything.

An FPGA's bitstream, and Verilog's initial values, give every register and memory word its value at power-up; a chip
does not, and a design that relies on it fails there, or after a reset that comes later. In simulations registers
without reset, and memories that are written, have no initial value: Verilator then begins with random ones
(`--x-initial unique`, seed of the simulation).
"""

from __future__ import annotations

import re

_NAME = r"(?:\\\S+ |[A-Za-z_$][\w$]*)"
_MODULE = re.compile(r"^module .*?^endmodule", re.MULTILINE | re.DOTALL)
_REGISTER = re.compile(rf"^(  reg (?:(?:signed )?\[\d+:\d+\] )?)({_NAME}) = [^;\n]*;$", re.MULTILINE)
_EDGE = re.compile(rf"^  always @\(posedge clk\)\n    ({_NAME})(?: ?\[[\d:]+\])? ?<= ({_NAME}|[^;\n]*);$", re.MULTILINE)
_RESET = re.compile(rf"^    if \((?:rst|\\\S*rst )\) begin\n      ({_NAME})(?: ?\[[\d:]+\])? ?= ", re.MULTILINE)
_INITIAL = re.compile(rf"^  initial begin(?: : \S+)?\n(?:    .*\n)*?(?:    |.*\) )({_NAME})\[\w+\] = .*\n"
                      r"(?:    .*\n)*  end\n", re.MULTILINE)

#: Registers that begin with their initial value although no reset sets them, and why.
KEPT: dict[str, str] = {}


def random_start(verilog: str) -> str:
    """`verilog` without the initial values that no reset repeats: of registers without reset but for `KEPT`, and of
    memories that are written."""
    return _MODULE.sub(lambda match: _module(match[0]), verilog)


def without_reset(verilog: str) -> list[str]:
    """`module.register` of every clocked register that has an initial value and no reset."""
    found = []
    for module in _MODULE.finditer(verilog):
        name = module[0].split("(")[0].split()[1]
        found += [f"{name}.{register.strip()}" for register in _unreset(module[0])]
    return found


def _unreset(module: str) -> set[str]:
    """Registers with a clock edge and without a reset, as they are written."""
    reset = {match[1] for match in _RESET.finditer(module)}
    clocked: dict[str, set[str]] = {}
    for match in _EDGE.finditer(module):
        clocked.setdefault(match[1], set()).add(match[2])
    return {register for register, values in clocked.items() if not values & reset}


def _module(text: str) -> str:
    free = {register for register in _unreset(text) if register.strip() not in KEPT}
    text = _REGISTER.sub(lambda match: f"{match[1]}{match[2]};" if match[2] in free else match[0], text)

    def memory(match: re.Match[str]) -> str:
        written = re.search(rf"^\s+{re.escape(match[1])}\[.*\] *<= ", text, re.MULTILINE)
        return "" if written else match[0]
    return _INITIAL.sub(memory, text)
