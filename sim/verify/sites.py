"""Where a design can be mutated.

A site is a cell, a condition of an `If`, or an assignment in the RTLIL that Amaranth writes; it is known by the line of
the generator's source that it came from, not by its place in one build's netlist, so that the same mutant lives in
every build and every bench. Where a line makes several like sites (a loop over lanes) a mutant is in all of them, in
the first or in the last of each module.

Not mutated: what a reset does (tests of reset are of their own), and what Amaranth's own library makes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spatten_hw.rtlil.modules import Module, modules_of
from spatten_hw.source_tree import repository

from .operators import CellText, flipped

ROOT = repository()
#: The first place that an attribute tells: path, the path below the generator's folder, line.
_SOURCE = re.compile(r'  attribute \\src "((?:[^"|]*/)?spatten_hw/([^"|]*\.py)):(\d+)')
BIT = re.compile(r"([\\$]\S+) \[(\d+)\]")
ASSIGN = re.compile(r"assign (\S+(?: \[[\d:]+\])?) (.+)$")


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
class Found:
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


def found_in(module: Module) -> Iterator[Found]:
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


def _in_cell(lines: list[str], start: int, end: int, file: str, text: str) -> Iterator[Found]:
    cell = CellText(lines[start:end])
    for twin in cell.twins():
        yield Found(Site(file, text, f"{cell.type} as {twin}"), start, end)


def _in_process(lines: list[str], start: int, end: int, file: str, text: str) -> Iterator[Found]:
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
            bits = list(BIT.finditer(line))
            whole = " ".join(b[0] for b in bits) == line.split("switch ", 1)[1].strip("{} ")
            for n, _ in enumerate(bits if whole else ()):
                conditions += 1
                if not _decides(lines, at, depth, n):
                    continue
                for kind in ("inverted", "never", "always"):
                    yield Found(Site(file, text, f"if {kind}", str(conditions)), at, at, n)
        elif word == "assign" and depth > 4:
            assignments += 1
            made = ASSIGN.match(line.strip())
            if made and flipped(made[2]):
                yield Found(Site(file, text, "constant's bit 0", str(assignments)), at, at)
            # A later assignment of the same branch would come before one that is put under a condition.
            if made and not _assigned_later(lines, at, depth):
                yield Found(Site(file, text, "assignment dropped", str(assignments)), at, at)


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
