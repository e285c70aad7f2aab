"""Gives readable names to the RTLIL that Amaranth writes, before Yosys makes Verilog of it.

Amaranth names the nets between blocks after one end's port and a number (`busy$335`), which differ from build to
build, repeats every payload's fields for each end, and wraps each `Shared` block into a module of its own.
`readable` removes wrappers and repetitions and names a net by the block and port that drive it
(`score__busy`). Only names change, and nets that nothing reads are removed: the circuit is the same.

Only for RTLIL as `amaranth.back.rtlil` lays it out (`modules.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from .modules import CELL, CELL_PORT, NUMBERED, WHOLE, WIRE, Module, modules_of
from .wrappers import unwrap, wrapped_blocks

#: A public name (`\name`), where a line may have one.
_NAME = re.compile(r"\\\S+")
#: A payload's name, and the field or element behind it.
_FIELD = re.compile(r"(?=[.\[])")
#: What a module declares under a name of its own.
_OWN = re.compile(r"  (?:wire|memory|cell) .*?(\\\S+)$")
_CONNECT = re.compile(r"connect (\\\S+) \S")


def readable(text: str) -> str:
    """`text` (RTLIL as Amaranth writes it) with the names described above."""
    modules = {m.name: m for m in modules_of(text)}
    types = wrapped_blocks(modules)
    kept = {name: m for name, m in modules.items() if name not in types}
    for module in kept.values():
        unwrap(module, modules, types)
    module_names = _module_names(kept)
    names = _Names(kept)
    return "".join(_rewritten(m, names, types, module_names) for m in kept.values())


def _module_names(names: Iterable[str]) -> dict[str, str]:
    """Old → new name: dots of a path become `__` (a plain Verilog identifier), numbers go if the rest is unique."""
    new: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        plain = name.replace(".", "__")
        bare = re.sub(r"\$\d+(?=$|__)", "", plain)
        new[name] = plain if bare in used else bare
        used.add(new[name])
    return new


class _Names:
    """Old → new names inside each module, inner blocks first: nets are named after their ports' new names."""

    def __init__(self, modules: dict[str, Module]):
        self.modules = modules
        self.lines = {name: _without_unread(m) for name, m in modules.items()}
        self._known: dict[str, dict[str, str]] = {}

    def inside(self, module: str) -> dict[str, str]:
        if module not in self._known:
            self._known[module] = self._made(self.modules[module])
        return self._known[module]

    def _made(self, m: Module) -> dict[str, str]:
        own = [o[1] for line in self.lines[m.name] if (o := _OWN.match(line))]
        # What users connect to keeps its name; so do ports without a number.
        fixed = {name for name in own if name in m.ports and (m.top or not NUMBERED.search(name))}
        ends = self._ends(m)
        new = {name: name for name in fixed}
        used = set(fixed)
        for name in own:
            if name in ends and name not in fixed and ends[name] not in used:
                new[name] = ends[name]
                used.add(ends[name])
        bases = dict(new)
        # A block keeps its name if a net has the same one.
        for cell in m.cells:
            plain = NUMBERED.sub("", cell.name)
            if cell.type in self.modules and plain not in used:
                new[cell.name] = plain
                used.add(plain)
        free = Counter(NUMBERED.sub("", name) for name in own if name not in new)
        for name in sorted((n for n in own if n not in new), key=lambda n: bool(NUMBERED.search(n))):
            # Fields of a payload (`payload.field`) follow their payload; others lose their number if no name clashes.
            base, *parts = _FIELD.split(name, maxsplit=1)
            rest = "".join(parts)
            wanted = bases[base] + rest if rest and base in bases else NUMBERED.sub("", name)
            if wanted in used or (wanted != name and free[wanted] > 1 and wanted in own and wanted not in new):
                wanted = name
            while wanted in used:
                wanted += "_net"
            new[name] = wanted
            used.add(wanted)
        return new

    def _ends(self, m: Module) -> dict[str, str]:
        """Wires named after the port of an inner block → block and port that drive the wire, or else read it."""
        drivers: dict[str, str] = {}
        readers: dict[str, str] = {}
        named: set[str] = set()
        for cell in m.cells:
            if cell.type not in self.modules:
                continue
            ports = self.modules[cell.type].ports
            for port, signal in cell.ports.items():
                wire = WHOLE.match(signal)
                if not wire or (wire[2] and m.widths.get(wire[1]) != int(wire[2]) + 1):
                    continue
                plain = NUMBERED.sub("", wire[1])
                end = f"{NUMBERED.sub('', cell.name)}__{self.inside(cell.type).get(port, port)[1:]}"
                if ports.get(port) == "output":
                    drivers[wire[1]] = end
                elif plain in (NUMBERED.sub("", port), "\\port"):
                    readers.setdefault(wire[1], end)
                if plain in (NUMBERED.sub("", port), "\\port"):
                    named.add(wire[1])
        return {wire: drivers.get(wire) or readers[wire] for wire in sorted(named)}


def _rewritten(m: Module, names: _Names, types: dict[str, str], module_names: dict[str, str]) -> str:
    new = names.inside(m.name)

    def name(match: re.Match[str]) -> str:
        return new.get(match[0], match[0])

    out = []
    ports: dict[str, str] = {}
    for line in names.lines[m.name]:
        if "\\" not in line or line.lstrip().startswith("attribute "):
            out.append(line)
        elif line.startswith("module "):
            out.append(f"module {module_names[m.name]}")
        elif cell := CELL.match(line):
            kind = types.get(cell[1], cell[1])
            ports = names.inside(kind) if kind in names.modules else {}
            out.append(f"  cell {module_names.get(kind, kind)} {new.get(cell[2], cell[2])}")
        elif port := CELL_PORT.match(line):
            out.append(f"    connect {ports.get(port[1], port[1])} {_NAME.sub(name, port[2])}")
        elif line.startswith("    parameter "):
            # Only a memory cell's parameter holds a name: as a string, its backslash escaped.
            out.append(re.sub(r'"\\(\\[^"]+)"', lambda s: f'"\\{new.get(s[1], s[1])}"', line))
        else:
            out.append(_NAME.sub(name, line))
    return "\n".join(out) + "\n"


def _without_unread(m: Module) -> list[str]:
    """The module's lines, except for numbered nets that only repeat another net and that nothing reads."""
    times = Counter(word for line in m.lines for word in _NAME.findall(CELL_PORT.sub(r"\2", line)))
    drop = {wire for wire in m.widths
            if wire not in m.ports and "$" in wire and times[wire] == 2}
    aliased = {c[1] for line in m.lines if (c := _CONNECT.match(line))}
    drop &= aliased
    out: list[str] = []
    for line in m.lines:
        wire, alias = WIRE.match(line), _CONNECT.match(line)
        if wire and wire[3] in drop:
            while out and out[-1].startswith("  attribute "):
                out.pop()
        elif not (alias and alias[1] in drop):
            out.append(line)
    return out
