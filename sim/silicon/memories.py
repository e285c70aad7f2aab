"""The memories of a design by their true shapes, out of its Verilog: which unit has them, how often.

Memories of at most `REGISTER_FILE` words are flip-flops and no part of this.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from spatten_hw.boards.flow.area import GLUE, Measured
from spatten_hw.boards.flow.standard_cells import REGISTER_FILE

_MEMORY = re.compile(r"^ *(?:\(\*.*\*\) *)?reg (?:\[(\d+):0\] )?(\\\S+|\w\S*) \[(\d+):0\];", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Shape:
    """`words` × `width` bits, with so many read and write ports."""

    words: int
    width: int
    reads: int = 1
    writes: int = 1

    @property
    def bits(self) -> int:
        return self.words * self.width

    def __str__(self) -> str:
        return f"{self.words} × {self.width}" + ("" if self.reads == self.writes == 1 else
                                                 f", {self.reads}R{self.writes}W")


def module_shapes(verilog: str) -> dict[str, Shape]:
    """Memory → shape, of a module's Verilog as `to_verilog` writes it. A read port is an expression that indexes the
    memory, a write port an assignment of which it is the target."""
    found = {}
    for width, name, last in _MEMORY.findall(verilog):
        words = int(last) + 1
        if words > REGISTER_FILE:
            escaped = re.escape(name) + (r" ?" if name.startswith("\\") else "")
            uses = [use for use in re.findall(rf"^(.*?)(?<![\w$\\.]){escaped}\[(.*)$", verilog, re.MULTILINE)
                    if "zeroed" not in use[0]]
            writes = {rest.split("]")[0] for before, rest in uses if "<=" in rest and "=" not in before}
            reads = {rest.split("]")[0] for before, rest in uses if "=" in before}
            found[name.strip("\\ ")] = Shape(words, int(width or 0) + 1, max(1, len(reads)), max(1, len(writes)))
    return found


def unit_shapes(measured: Measured) -> dict[str, Counter[Shape]]:
    """Unit, and `GLUE` → shape → how many memories of it."""
    design = measured.design
    of_module = {name: Counter(module_shapes(text).values()) for name, text in design.modules.items()}
    found: dict[str, Counter[Shape]] = {}
    top, = measured.modules(GLUE)
    for unit, module in measured.units.items():
        total: Counter[Shape] = Counter(of_module[module])
        for name, times in design.occurrences(module).items():
            for shape, count in of_module[name].items():
                total[shape] += times * count
        found[unit] = total
    every: Counter[Shape] = Counter(of_module[top])
    for name, times in design.occurrences(top).items():
        for shape, count in of_module[name].items():
            every[shape] += times * count
    found[GLUE] = every - sum(found.values(), Counter())
    return found
