"""What simulations covered, in terms of the generator's source.

Verilator counts by line and bit of the Verilog, of which every configuration and every bench has its own. So that they
can be added up, a point is named by what it came from: the line of the generator's source that the Verilog's `src`
attribute tells, and the signal or branch. Instances and builds of the same source are one point: covered if it was
covered in any of them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: One counter in a file of Verilator's: key-value pairs between control characters, and the count.
_COUNTER = re.compile(r"^C '(.*)' (\d+)$", re.MULTILINE)
_PAIR = re.compile("\x01([^\x02]+)\x02([^\x01]*)")
_SOURCE = re.compile(r'\(\* src = "([^"|]*)')
_BIT = re.compile(r"\[(\d+)\]$")
#: Where a field's name begins.
_FIELD = re.compile(r"[.\[]")
#: How Verilator writes characters that C++ has not in names.
_CODED = re.compile("__0([0-9A-Fa-f]{2})")
#: A register that the Verilog back end puts into blocks for simulators to run them once: no branch of the design.
_TRIGGER = re.compile(r"^ *if \(\\\$\S* \) begin end$")
_EDGE = re.compile(r":(0->1|1->0)$")


@dataclass(frozen=True, order=True)
class Point:
    """`kind`: "line" or "toggle". `file`, `line`: of the generator's source. `name`: a branch's kind and its place
    among those of the source line, or a signal, with the number and edge of the bit in `bit`."""

    kind: str
    file: str
    line: int
    name: str
    bit: str = ""

    @property
    def text(self) -> str:
        return "|".join((self.kind, self.file, str(self.line), self.name, self.bit))

    @classmethod
    def of(cls, text: str) -> Point:
        kind, file, line, name, bit = text.split("|")
        return cls(kind, file, int(line), name, bit)


class Design:
    """The lines of one design's Verilog and the sources that they came from."""

    def __init__(self, verilog: str):
        self._at: list[int] = []
        self._sources: list[tuple[str, int] | None] = []
        self.triggers: set[int] = set()
        for number, line in enumerate(verilog.split("\n"), 1):
            if found := _SOURCE.search(line):
                file, _, source_line = found[1].rpartition(":")
                in_generator = file.startswith("spatten_hw/") and source_line.isdigit()
                self._note(number, (file, int(source_line)) if in_generator else None)
            elif line.startswith(("module ", "endmodule")):
                self._note(number, None)
            elif _TRIGGER.match(line):
                self.triggers.add(number)

    def _note(self, number: int, source: tuple[str, int] | None) -> None:
        self._at.append(number)
        self._sources.append(source)

    def source(self, line: int) -> tuple[str, int] | None:
        """File and line of the generator's source for a line of the Verilog; None: it is of Amaranth's or of nobody."""
        at = bisect_right(self._at, line) - 1
        return self._sources[at] if at >= 0 else None


@cache
def design(path: Path) -> Design:
    return Design(path.read_text())


def points_of(data: str, of: Design) -> Iterator[tuple[Point, bool]]:
    """The points of one file that Verilator wrote, and whether they were covered."""
    toggles: list[tuple[Point, bool]] = []
    seen: dict[tuple[str, int, str, str], int] = {}
    places: dict[tuple, str] = {}
    for found in _COUNTER.finditer(data):
        pairs = dict(_PAIR.findall(found[1]))
        page, line, name = pairs.get("page", ""), int(pairs.get("l", 0)), pairs.get("o", "")
        source = of.source(line)
        if source is None:
            continue
        file, source_line = source
        covered = int(found[2]) > 0
        if page.startswith("v_toggle"):
            if point := _toggle(file, source_line, name):
                toggles.append((point, covered))
        elif page.startswith(("v_line", "v_branch")) and line not in of.triggers:
            # Branches of the same line are told apart by their order in a module; of all its instances alike.
            place = (page, line, pairs.get("n", ""), name)
            if place not in places:
                key = (page, source_line, file, name)
                seen[key] = seen.get(key, 0) + 1
                places[place] = f"{name} {seen[key]}"
            yield Point("line", file, source_line, places[place]), covered
    # A signal with fields is there a second time as a whole.
    wholes = {(point.file, point.line, point.name[:at.start()])
              for point, _ in toggles for at in _FIELD.finditer(point.name)}
    yield from ((point, covered) for point, covered in toggles if (point.file, point.line, point.name) not in wholes)


def _toggle(file: str, line: int, name: str) -> Point | None:
    """A signal's bit; None for signals without a name of their own (Yosys numbers them by the build). The words of a
    memory are one."""
    edge = _EDGE.search(name)
    plain = _EDGE.sub("", name)
    found = _BIT.search(plain)
    plain = _BIT.sub("", plain[:found.start()] if found else plain)
    plain = _CODED.sub(lambda c: chr(int(c[1], 16)), plain)
    if "$" in plain or plain.startswith("_"):
        return None
    bit = f"{found[1] if found else 0}{edge[0] if edge else ''}"
    return Point("toggle", file, line, plain.strip().replace("|", "/"), bit)
