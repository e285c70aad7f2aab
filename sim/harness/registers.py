"""Verilog made quicker to simulate: registers that are written only when they change."""

from __future__ import annotations

import re

_NAME = r"(?:\\\S+ |[A-Za-z_]\w*)"
_EDGE = re.compile(rf"^  always @\(posedge clk\)\n    ({_NAME}) <= (\\\$\d+ );\n", re.MULTILINE)
_NEXT = re.compile(r"^  always @\* begin\n    if \(\\\$auto\$verilog_backend\S* \) begin end\n"
                   r"(    (\\\$\d+ ) = [^;]*;\n.*?)^  end\n", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(r"^module .*?^endmodule", re.MULTILINE | re.DOTALL)
_TEMPORARY = re.compile(r"\\\$\d+ ")


def clocked_registers(verilog: str) -> str:
    """`verilog` with each register's process and clock edge in one: `if (enable) register <= value`.

    The backend writes `always @* begin next = register; if (enable) next = value; end` and `always @(posedge clk)
    register <= next`. A simulator then computes and copies every register in every cycle, however wide and idle it
    is. The value at each edge stays the same. Registers whose `next` is used elsewhere stay as they are.
    """
    return _MODULE.sub(lambda match: _module(match.group(0)), verilog)


def _module(text: str) -> str:
    uses: dict[str, int] = {}
    for name in _TEMPORARY.findall(text):
        uses[name] = uses.get(name, 0) + 1
    target = {match.group(2): match.group(1) for match in _EDGE.finditer(text)}
    merged: set[str] = set()

    def process(match: re.Match[str]) -> str:
        body, temporary = match.group(1), match.group(2)
        register = target.get(temporary)
        keep = f"    {temporary} = {register}"
        # One use in the declaration, one at the clock edge, all others here and on the left.
        left = re.compile(rf"^( +){re.escape(temporary)}((?:\[[\d:]+\] )?) ?= ", re.MULTILINE)
        inside = body.count(temporary)
        if (register is None or not body.startswith((keep + ";", keep.rstrip() + ";")) or uses[temporary] != inside + 2
                or len(left.findall(body)) != inside):
            return match.group(0)
        merged.add(temporary)
        body = body.split("\n", 1)[1]
        body = left.sub(lambda m: f"{m.group(1)}{register.rstrip()} {m.group(2)}<= ", body)
        return f"  always @(posedge clk) begin\n{body}  end\n"

    text = _NEXT.sub(process, text)
    return _EDGE.sub(lambda match: "" if match.group(2) in merged else match.group(0), text)
