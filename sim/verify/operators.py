"""What a mutant does to one cell of the RTLIL that Amaranth writes: a wrong twin of the cell.

A twin reads what the cell reads and computes something a careless author might have written: `<` for `<=`, `-` for
`+`, a constant off by one, the branches of a `Mux` exchanged. Which of the two is seen a number outside decides
(`sites.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: Cell → what it is taken for. `$pos` passes the first operand on.
TWINS = {
    "$add": ("$sub",), "$sub": ("$add",), "$mul": ("$add",), "$neg": ("$pos",),
    "$and": ("$or",), "$or": ("$and",), "$xor": ("$or",), "$not": ("$pos",),
    "$eq": ("$ne",), "$ne": ("$eq",),
    "$lt": ("$le", "$ge"), "$le": ("$lt", "$gt"), "$gt": ("$ge", "$le"), "$ge": ("$gt", "$lt"),
    "$shl": ("$pos",), "$shr": ("$pos",), "$sshr": ("$pos", "$shr"), "$shift": ("$pos",),
    "$reduce_or": ("$reduce_and",), "$reduce_and": ("$reduce_or",),
    "$mux": ("exchanged",),
}
#: Cells of which a constant operand may be off by one.
_COUNTING = {"$add", "$sub", "$eq", "$ne", "$lt", "$le", "$gt", "$ge", "$shl", "$shr", "$sshr"}

_CONNECT = re.compile(r"    connect \\(\w+) (.+)$")
_PARAMETER = re.compile(r"    parameter (?:signed )?\\(\w+) (\d+)$")
_CONSTANT = re.compile(r"(\d+)'([01]+)$")


class CellText:
    """A cell's lines taken apart: `type`, `parameters`, `ports` (as text)."""

    def __init__(self, lines: Sequence[str]):
        self.type = lines[0].split()[1]
        self.parameters = {m[1]: int(m[2]) for line in lines if (m := _PARAMETER.match(line))}
        self.ports = {m[1]: m[2] for line in lines if (m := _CONNECT.match(line))}

    @property
    def width(self) -> int:
        """Bits of the output."""
        return self.parameters.get("Y_WIDTH", self.parameters.get("WIDTH", 0))

    def twins(self) -> Iterator[str]:
        """Names of the wrong twins that this cell can have."""
        if self.width == 0:
            return
        for twin in TWINS.get(self.type, ()):
            # One bit of a vector reduced by "or" is the same as by "and".
            if not (self.type.startswith("$reduce") and self.parameters["A_WIDTH"] < 2):
                yield twin
        if self.type in _COUNTING and any(_off_by_one(self.ports.get(port, "")) for port in "AB"):
            yield "constant"

    def twin(self, name: str, y: str, number: str) -> list[str]:
        """Lines of the twin, with its output on wire `y`, as cell `number`."""
        kind, ports, parameters = self.type, dict(self.ports), dict(self.parameters)
        if name == "constant":
            port = next(p for p in "BA" if _off_by_one(ports[p]))
            ports[port] = _off_by_one(ports[port]) or ""
        elif name == "exchanged":
            ports["A"], ports["B"] = ports["B"], ports["A"]
        elif name == "$pos":
            kind = name
            ports.pop("B", None)
            parameters = {p: v for p, v in parameters.items() if not p.startswith("B_")}
        else:
            kind = name
        ports["Y"] = y
        return [f"  cell {kind} {number}", *(f"    parameter \\{p} {v}" for p, v in parameters.items()),
                *(f"    connect \\{p} {v}" for p, v in ports.items()), "  end"]


def _off_by_one(text: str) -> str | None:
    """The constant one greater (a lone 1 or all ones: one less); None: no constant, or one of no use."""
    found = _CONSTANT.match(text)
    if found is None:
        return None
    width, value = int(found[1]), int(found[2], 2)
    other = value + 1 if value + 1 < 1 << width else value - 1
    return f"{width}'{other:0{width}b}" if other >= 0 else None


def flipped(text: str) -> str | None:
    """A constant with its lowest bit inverted; None: no constant."""
    found = _CONSTANT.match(text)
    return f"{found[1]}'{found[2][:-1]}{1 - int(found[2][-1])}" if found else None
