"""The modules of an RTLIL text as Amaranth's back end writes it: one declaration, connection or cell per line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

#: A wire's declaration: width, direction of a port, name.
WIRE = re.compile(r"  wire (?:width (\d+) )?(?:(input|output) \d+ +)?(?:signed )?(\\\S+)$")
#: A cell: type, name.
CELL = re.compile(r"  cell (\S+) (\S+)$")
#: What a port of a cell is connected to.
CELL_PORT = re.compile(r"    connect (\\\S+) (.+)$")
#: A signal that is a whole wire, perhaps with its range: name, highest bit.
WHOLE = re.compile(r"(\\\S+)(?: \[(\d+)(?::0)?\])?$")
#: What Amaranth appends to a name that it has given before.
NUMBERED = re.compile(r"\$\d+$")


@dataclass
class Cell:
    """A cell: the module or kind that it is, its name, port → signal."""

    type: str
    name: str
    ports: dict[str, str] = field(default_factory=dict)


@dataclass
class Module:
    """One module's lines (its attributes before `module` included) and what they declare."""

    name: str
    lines: list[str]
    ports: dict[str, str] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    process: bool = False

    @property
    def top(self) -> bool:
        return any(line.startswith("attribute \\top 1") for line in self.lines[:5])


def modules_of(text: str) -> Iterable[Module]:
    """Every module of `text`, in its order."""
    pending: list[str] = []
    module: Module | None = None
    cell: Cell | None = None
    for line in text.splitlines():
        pending.append(line)
        if module is None:
            if line.startswith("module "):
                module = Module(line.split()[1], pending)
        elif line == "end":
            yield module
            pending, module = [], None
        elif wire := WIRE.match(line):
            module.widths[wire[3]] = int(wire[1] or 1)
            if wire[2]:
                module.ports[wire[3]] = wire[2]
        elif made := CELL.match(line):
            cell = Cell(made[1], made[2])
            module.cells.append(cell)
        elif line.startswith("  process "):
            module.process = True
        elif cell and (port := CELL_PORT.match(line)):
            cell.ports[port[1]] = port[2]
