"""Where a design can be mutated, and the design with mutants in it, of which a number chooses one at run time.

A site is a cell, a condition of an `If`, or an assignment in the RTLIL that Amaranth writes; it is known by the line of
the generator's source that it came from, not by its place in one build's netlist, so that the same mutant lives in
every build and every bench. Where a line makes several like sites (a loop over lanes) a mutant is in all of them, in
the first or in the last of each module.

Not mutated: what a reset does (tests of reset are of their own), and what Amaranth's own library makes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from spatten_hw.rtlil.modules import Module, modules_of
from spatten_hw.source_tree import repository

from .operators import CellText, flipped

ROOT = repository()
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

#: The first place that an attribute tells: path, the path below the generator's folder, line.
_SOURCE = re.compile(r'  attribute \\src "((?:[^"|]*/)?spatten_hw/([^"|]*\.py)):(\d+)')
_BIT = re.compile(r"([\\$]\S+) \[(\d+)\]")
_ASSIGN = re.compile(r"assign (\S+(?: \[[\d:]+\])?) (.+)$")


@dataclass(frozen=True, order=True)
class Site:
    """What a mutant may be made of. `file`: below spatten_hw/; `line`: the source's text; `kind`: what is changed;
    `place`: which condition or assignment of a signal ("" for cells)."""

    file: str
    line: str
    kind: str
    place: str = ""


@dataclass(frozen=True, order=True)
class Mutant:
    """A site, and in which of the equal sites of a module: "every", "first" or "last"."""

    site: Site
    which: str

    @property
    def key(self) -> str:
        """What it is known by; it stays while the source line does."""
        s = self.site
        return " | ".join(filter(None, (s.file, s.line, s.kind, s.place, self.which)))


@dataclass
class _Found:
    """A site's place in a module's lines, and what to do there."""

    site: Site
    start: int
    end: int
    bit: int = 0


@cache
def _source(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _place(attribute: str | None) -> tuple[str, str] | None:
    """(file below spatten_hw/, text of the line) of a source attribute's line."""
    found = _SOURCE.match(attribute or "")
    if not found:
        return None
    lines, number = _source(found[1]), int(found[3])
    return found[2], lines[number - 1].strip() if number <= len(lines) else ""


def found_in(module: Module) -> Iterator[_Found]:
    """All sites of a module, in its order. A cell belongs to the file where its operator stands; what drives a signal
    to that of the module, not to where the signal is declared: ports are driven by the block around."""
    source, at = None, 0
    lines = module.lines
    home = next(filter(None, (_place(line.rjust(len(line) + 2)) for line in lines[:6])), None)
    while at < len(lines):
        line = lines[at]
        if line.startswith("  attribute \\src"):
            source = line
        elif line.startswith(("  cell ", "  process ")):
            end = next(n for n in range(at, len(lines)) if lines[n] == "  end")
            place = _place(source)
            if place and line.startswith("  cell "):
                yield from _in_cell(lines, at, end, *place)
            elif place and home:
                yield from _in_process(lines, at, end, home[0], place[1])
            at, source = end, None
        elif line.startswith("  wire "):
            source = None
        at += 1


def _in_cell(lines: list[str], start: int, end: int, file: str, text: str) -> Iterator[_Found]:
    cell = CellText(lines[start:end])
    for twin in cell.twins():
        yield _Found(Site(file, text, f"{cell.type} as {twin}"), start, end)


def _in_process(lines: list[str], start: int, end: int, file: str, text: str) -> Iterator[_Found]:
    conditions = assignments = 0
    reset: int | None = None
    for at in range(start + 1, end):
        line = lines[at]
        depth = len(line) - len(line.lstrip())
        if reset is not None:
            if depth == reset and line.endswith("end"):
                reset = None
            continue
        word = line.split()[0]
        if word == "switch":
            if line.split()[1] == "\\rst":
                reset = depth
                continue
            bits = list(_BIT.finditer(line))
            whole = " ".join(b[0] for b in bits) == line.split("switch ", 1)[1].strip("{} ")
            for n, _ in enumerate(bits if whole else ()):
                conditions += 1
                if not _decides(lines, at, depth, n):
                    continue
                for kind in ("inverted", "never", "always"):
                    yield _Found(Site(file, text, f"if {kind}", str(conditions)), at, at, n)
        elif word == "assign" and depth > 4:
            assignments += 1
            made = _ASSIGN.match(line.strip())
            if made and flipped(made[2]):
                yield _Found(Site(file, text, "constant's bit 0", str(assignments)), at, at)
            # A later assignment of the same branch would come before one that is put under a condition.
            if made and not _assigned_later(lines, at, depth):
                yield _Found(Site(file, text, "assignment dropped", str(assignments)), at, at)


def _decides(lines: list[str], switch: int, depth: int, bit: int) -> bool:
    """A condition of a switch makes a difference to the signal: its branch, or one after it, assigns something. (Of an
    `If` with several branches every signal has all conditions, also those of branches that leave it alone.)"""
    reached = False
    for at in range(switch + 1, len(lines)):
        line = lines[at]
        here = len(line) - len(line.lstrip())
        if here == depth:
            return False
        if here == depth + 2:
            pattern = line.split("'")[-1].strip() if "'" in line else ""
            reached |= pattern[bit:bit + 1] == "1" or not pattern
            if reached and len(lines[at + 1]) - len(lines[at + 1].lstrip()) > here:
                return True
    return False


def _assigned_later(lines: list[str], at: int, depth: int) -> bool:
    for line in lines[at + 1:]:
        here = len(line) - len(line.lstrip())
        if here < depth:
            return False
        if here == depth and line.lstrip().startswith("assign "):
            return True
    return False


def sites(text: str) -> dict[Site, int]:
    """All sites of a design → most of them in one module."""
    most: dict[Site, int] = {}
    for module in modules_of(text):
        count: dict[Site, int] = defaultdict(int)
        for found in found_in(module):
            count[found.site] += 1
        for site, n in count.items():
            most[site] = max(n, most.get(site, 0))
    return most


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
        places: dict[Site, list[_Found]] = defaultdict(list)
        for found in found_in(module):
            if found.site in by_site:
                places[found.site].append(found)
        edits = [(numbers[mutant], found) for site, all_ in places.items() for mutant in by_site[site]
                 for found in (all_ if mutant.which == "every" else all_[:1] if mutant.which == "first" else all_[-1:])]
        present.update(number for number, _ in edits)
        out += _mutated(module, edits) if edits else module.lines
    return "\n".join(out) + "\n", present


def _mutated(module: Module, edits: Iterable[tuple[int, _Found]]) -> list[str]:
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

    def apply(self, edits: list[tuple[int, _Found]]) -> list[str]:
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

    def _cell(self, number: int, found: _Found) -> None:
        lines = self.lines[found.start:found.end]
        cell = CellText(lines)
        y = cell.ports["Y"]
        right, wrong = self._fresh(cell.width), self._fresh(cell.width)
        at = next(n for n, line in enumerate(lines) if line.startswith("    connect \\Y "))
        self.lines[found.start + at] = f"    connect \\Y {right}"
        self.cells += cell.twin(found.site.kind.split(" as ")[1], wrong, f"$mutated${len(self.cells)}")
        self._mux(number, right, wrong, y, cell.width)

    def _condition(self, number: int, found: _Found) -> None:
        line = self.lines[found.start]
        bit = list(_BIT.finditer(line))[found.bit]
        wrong = {"if never": "1'0", "if always": "1'1"}.get(found.site.kind)
        if wrong is None:
            wrong = self._fresh(1)
            self._op("$not", {"A": bit[0], "Y": wrong}, {"A_SIGNED": 0, "A_WIDTH": 1, "Y_WIDTH": 1})
        y = self._mux(number, bit[0], wrong, self._fresh(1), 1)
        self.lines[found.start] = f"{line[:bit.start()]}{y} [0]{line[bit.end():]}"

    def _assignment(self, line: str, edits: Iterable[tuple[int, _Found]]) -> str:
        made = _ASSIGN.match(line.strip())
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
