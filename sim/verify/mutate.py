"""The design with mutants in it, of which a number chooses one at run time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby

from spatten_hw.rtlil.modules import Module, modules_of

from .operators import CellText, flipped
from .sites import ASSIGN, BIT, Found, Mutant, Site, found_in

#: Bits of the number that chooses a mutant; 0: the design as it is.
NUMBER_BITS = 16
#: The module that tells the number. Verilator's `$c` reads the environment once, when a simulation starts.
NUMBER_MODULE = "spatten_mutant_number"
NUMBER_VERILOG = f"""
module {NUMBER_MODULE}(number);
  output [{NUMBER_BITS - 1}:0] number;
  reg [{NUMBER_BITS - 1}:0] chosen;
  initial chosen = $c32("(getenv(\\"SPATTEN_MUTANT\\") ? atoi(getenv(\\"SPATTEN_MUTANT\\")) : 0)");
  assign number = chosen;
endmodule
"""


def with_mutants(text: str, numbers: Mapping[Mutant, int]) -> tuple[str, set[int]]:
    """The design (RTLIL) with those mutants in it that have a site here, and their numbers.

    Needs `NUMBER_VERILOG` beside its Verilog unless there are none.
    """
    by_site: dict[Site, list[Mutant]] = defaultdict(list)
    for mutant in numbers:
        by_site[mutant.site].append(mutant)
    out: list[str] = []
    present: set[int] = set()
    for module in modules_of(text):
        places: dict[Site, list[Found]] = defaultdict(list)
        for found in found_in(module):
            if found.site in by_site:
                places[found.site].append(found)
        edits = [(numbers[mutant], found) for site, all_ in places.items() for mutant in by_site[site]
                 for found in (all_ if mutant.which == "every" else all_[:1] if mutant.which == "first" else all_[-1:])]
        present.update(number for number, _ in edits)
        out += _mutated(module, edits) if edits else module.lines
    return "\n".join(out) + "\n", present


def _mutated(module: Module, edits: Iterable[tuple[int, Found]]) -> list[str]:
    """A module's lines with the sites changed as said, each where the number is its own."""
    return _Edited(module).apply(sorted(edits, key=lambda e: (e[1].start, e[0])))


class _Edited:
    """A module in the making. Changes are wires and cells put in front of the module's `end`, and lines replaced."""

    def __init__(self, module: Module):
        self.lines = list(module.lines)
        self.wires: list[str] = []
        self.cells = [f"  cell \\{NUMBER_MODULE} \\mutant", "    connect \\number $mutant", "  end"]
        self.chosen: dict[int, str] = {}
        self._wire("$mutant", NUMBER_BITS)

    def apply(self, edits: list[tuple[int, Found]]) -> list[str]:
        for start, group in groupby(edits, key=lambda e: e[1].start):
            here = list(group)
            if self.lines[start].startswith("  cell "):
                for number, found in here:
                    self._cell(number, found)
            elif self.lines[start].lstrip().startswith("switch "):
                for number, found in here:
                    self._condition(number, found)
            else:
                self.lines[start] = self._assignment(self.lines[start], here)
        # Declarations come before what uses them.
        first = next(n for n, line in enumerate(self.lines) if line.startswith("module ")) + 1
        return "\n".join([*self.lines[:first], *self.wires, *self.lines[first:-1], *self.cells, "end"]).split("\n")

    def _wire(self, name: str, width: int) -> str:
        self.wires.append(f"  wire width {width} {name}")
        return name

    def _fresh(self, width: int) -> str:
        return self._wire(f"$mutant${len(self.wires)}", width)

    def _select(self, number: int) -> str:
        """The wire that is 1 where mutant `number` is chosen."""
        if number not in self.chosen:
            y = self.chosen[number] = self._wire(f"$is_mutant${number}", 1)
            self._op("$eq", {"A": "$mutant", "B": f"{NUMBER_BITS}'{number:0{NUMBER_BITS}b}", "Y": y},
                     {"A_SIGNED": 0, "B_SIGNED": 0, "A_WIDTH": NUMBER_BITS, "B_WIDTH": NUMBER_BITS, "Y_WIDTH": 1})
        return self.chosen[number]

    def _op(self, kind: str, ports: dict[str, str], parameters: dict[str, int]) -> None:
        self.cells += [f"  cell {kind} $mutated${len(self.cells)}",
                       *(f"    parameter \\{p} {v}" for p, v in parameters.items()),
                       *(f"    connect \\{p} {v}" for p, v in ports.items()), "  end"]

    def _mux(self, number: int, right: str, wrong: str, y: str, width: int) -> str:
        self._op("$mux", {"S": self._select(number), "A": right, "B": wrong, "Y": y}, {"WIDTH": width})
        return y

    def _cell(self, number: int, found: Found) -> None:
        lines = self.lines[found.start:found.end]
        cell = CellText(lines)
        y = cell.ports["Y"]
        right, wrong = self._fresh(cell.width), self._fresh(cell.width)
        at = next(n for n, line in enumerate(lines) if line.startswith("    connect \\Y "))
        self.lines[found.start + at] = f"    connect \\Y {right}"
        self.cells += cell.twin(found.site.kind.split(" as ")[1], wrong, f"$mutated${len(self.cells)}")
        self._mux(number, right, wrong, y, cell.width)

    def _condition(self, number: int, found: Found) -> None:
        line = self.lines[found.start]
        bit = list(BIT.finditer(line))[found.bit]
        wrong = {"if never": "1'0", "if always": "1'1"}.get(found.site.kind)
        if wrong is None:
            wrong = self._fresh(1)
            self._op("$not", {"A": bit[0], "Y": wrong}, {"A_SIGNED": 0, "A_WIDTH": 1, "Y_WIDTH": 1})
        y = self._mux(number, bit[0], wrong, self._fresh(1), 1)
        self.lines[found.start] = f"{line[:bit.start()]}{y} [0]{line[bit.end():]}"

    def _assignment(self, line: str, edits: Iterable[tuple[int, Found]]) -> str:
        made = ASSIGN.match(line.strip())
        assert made is not None
        value, wrong = made[2], flipped(made[2])
        dropped = []
        for number, found in edits:
            if found.site.kind == "assignment dropped":
                dropped.append(number)
            elif wrong:
                width = int(wrong.split("'")[0])
                value = self._mux(number, value, wrong, self._fresh(width), width)
        lines = [f"assign {made[1]} {value}"]
        for number in dropped:
            lines = [f"switch {self._select(number)} [0]", "  case 1'0", *(f"    {inner}" for inner in lines), "end"]
        pad = line[:len(line) - len(line.lstrip())]
        return "\n".join(pad + inner for inner in lines)
