"""Verilog that starts as a chip does: what no reset sets holds anything.

An FPGA's bitstream, and Verilog's initial values, give every register and memory word its value at power-up; a chip
does not, and a design that relies on it fails there, or after a reset that comes later. In simulations registers
without reset, and memories that are written, begin with `$urandom`, whose seed is the simulation's. Inputs do not:
benches leave those at 0 that they do not use.
"""

from __future__ import annotations

import re

_NAME = r"(?:\\\S+ |[A-Za-z_$][\w$]*)"
_MODULE = re.compile(r"^module .*?^endmodule", re.MULTILINE | re.DOTALL)
_REGISTER = re.compile(rf"^(  reg (?:signed )?(?:\[(\d+):\d+\] )?({_NAME}))(?: = [^;\n]*)?;$", re.MULTILINE)
#: What a memory was read into, without a name of its own.
_READ = re.compile(r"_\d+_")
_EDGE = re.compile(rf"^  always @\(posedge clk\)\n    ({_NAME})(?: ?\[[\d:]+\])? ?<= ({_NAME}|[^;\n]*);$", re.MULTILINE)
_RESET = re.compile(rf"^    if \((?:rst|\\\S*rst )\) begin\n      ({_NAME})(?: ?\[[\d:]+\])? ?= ", re.MULTILINE)
_MEMORY = re.compile(rf"^  reg (?:\[(\d+):\d+\] )?({_NAME}) ?\[\d+:\d+\];$", re.MULTILINE)

#: Registers that begin with their initial value although no reset sets them, and why.
KEPT: dict[str, str] = {}


def random_start(verilog: str) -> str:
    """`verilog` in which what no reset sets begins at random: registers without reset but for `KEPT`, and memories that
    are written. Wider than 32 bits, a value is a random word again and again."""
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

    def register(match: re.Match[str]) -> str:
        declaration, top, name = match[1], match[2], match[3]
        begins = name in free or _READ.fullmatch(name)
        return f"{declaration} = {_random(top)};" if begins else match[0]

    text = _REGISTER.sub(register, text)
    for top, name in _MEMORY.findall(text):
        word = re.escape(name)
        if re.search(rf"^\s+{word} ?\[.*\] *<= ", text, re.MULTILINE):
            line = re.compile(rf"^(    (?:for .* )?{word} ?\[\w+\] = )\d+'[hd]0+;$", re.MULTILINE)
            text = line.sub(rf"\g<1>{_random(top)};", text)
    return text


def _random(top: str | None) -> str:
    """An expression of at least `top` + 1 random bits."""
    return f"{{{(int(top or 0) + 32) // 32}{{$urandom}}}}"
