"""Names a reader can follow, given to the RTLIL that Amaranth writes before Yosys makes Verilog of it.

Amaranth names the nets between blocks after one end's port and a number (`busy$335`), which differ from build to
build, repeats every payload's fields for each end, and wraps each `Shared` block into a module of its own.
`readable` removes wrappers and repetitions and names a net by the block and port that drive it
(`score__busy`). Only names change, and what nothing reads goes: the circuit is the same.

Reads the layout of `amaranth.back.rtlil` (one declaration, connection or cell a line), not any RTLIL.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

#: A public name (`\name`), where a line may have one.
_NAME = re.compile(r"\\\S+")
_NUMBERED = re.compile(r"\$\d+$")
#: A payload's name, and the field or element behind it.
_FIELD = re.compile(r"(?=[.\[])")
_WIRE = re.compile(r"  wire (?:width (\d+) )?(?:(input|output) \d+ +)?(?:signed )?(\\\S+)$")
_OWN = re.compile(r"  (?:wire|memory|cell) .*?(\\\S+)$")
_CELL = re.compile(r"  cell (\S+) (\S+)$")
_CELL_PORT = re.compile(r"    connect (\\\S+) (.+)$")
_CONNECT = re.compile(r"connect (\\\S+) \S")
_WHOLE = re.compile(r"(\\\S+)(?: \[(\d+)(?::0)?\])?$")


@dataclass
class _Cell:
    type: str
    name: str
    ports: dict[str, str] = field(default_factory=dict)


@dataclass
class _Module:
    """One module's lines (its attributes before `module` included) and what they declare."""

    name: str
    lines: list[str]
    ports: dict[str, str] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    cells: list[_Cell] = field(default_factory=list)
    process: bool = False

    @property
    def top(self) -> bool:
        return any(line.startswith("attribute \\top 1") for line in self.lines[:5])


def readable(text: str) -> str:
    """`text` (RTLIL as Amaranth writes it) with the names described above."""
    modules = {m.name: m for m in _modules(text)}
    types = _without_wrappers(modules)
    kept = {name: m for name, m in modules.items() if name not in types}
    for module in kept.values():
        _connect_unread(module, modules, types)
    module_names = _module_names(kept)
    names = _Names(kept)
    return "".join(_rewritten(m, names, types, module_names) for m in kept.values())


def _modules(text: str) -> Iterable[_Module]:
    pending: list[str] = []
    module: _Module | None = None
    cell: _Cell | None = None
    for line in text.splitlines():
        pending.append(line)
        if module is None:
            if line.startswith("module "):
                module = _Module(line.split()[1], pending)
        elif line == "end":
            yield module
            pending, module = [], None
        elif wire := _WIRE.match(line):
            module.widths[wire[3]] = int(wire[1] or 1)
            if wire[2]:
                module.ports[wire[3]] = wire[2]
        elif made := _CELL.match(line):
            cell = _Cell(made[1], made[2])
            module.cells.append(cell)
        elif line.startswith("  process "):
            module.process = True
        elif cell and (port := _CELL_PORT.match(line)):
            cell.ports[port[1]] = port[2]


def _without_wrappers(modules: dict[str, _Module]) -> dict[str, str]:
    """Modules that hold one block, its ports under the same names (or `_renamed`), and nothing else → the module of
    that block."""
    found = {}
    for m in modules.values():
        if len(m.cells) == 1 and m.cells[0].type in modules and not m.process:
            block = m.cells[0]
            named = {port for port, signal in block.ports.items() if (w := _WHOLE.match(signal)) and w[1] == port}
            renamed = _renamed(m)
            passed = named | set(renamed.values())
            if (set(m.ports) <= named | set(renamed) and set(block.ports) - passed == set(_unread(m))
                    and block.name == "\\block"):
                found[m.name] = block.type
    return found


def _renamed(wrapper: _Module) -> dict[str, str]:
    """Ports of a wrapper that its block knows under another name (a reset of its own) → that name."""
    return {w[1]: port for port, signal in wrapper.cells[0].ports.items()
            if (w := _WHOLE.match(signal)) and w[1] != port and w[1] in wrapper.ports}


def _unread(wrapper: _Module) -> list[str]:
    """Ports of the block in a wrapper that go nowhere."""
    return [port for port, signal in wrapper.cells[0].ports.items() if signal.startswith("$") and " " not in signal]


def _connect_unread(m: _Module, modules: dict[str, _Module], types: dict[str, str]) -> None:
    """Makes `m`'s cells instances of the blocks in the wrappers; what a wrapper left unread gets a net of its own."""
    inside: list[str] = []
    lines: list[str] = []
    renamed: dict[str, str] = {}
    for line in m.lines:
        if (connected := _CELL_PORT.match(line)) and connected[1] in renamed:
            line = line.replace(connected[1], renamed[connected[1]], 1)
        lines.append(line)
        made = _CELL.match(line)
        if made:
            renamed = {}
        if made and made[1] in types:
            wrapper = modules[made[1]]
            renamed = _renamed(wrapper)
            for port in _unread(wrapper):
                net = f"{_NUMBERED.sub('', made[2])}__{port[1:]}"
                width = modules[types[made[1]]].widths[port]
                inside.append(f"  wire width {width} {net}\n")
                lines.append(f"    connect {port} {net}")
    m.lines = lines
    at = next(n for n, line in enumerate(lines) if line.startswith("module ")) + 1
    m.lines[at:at] = inside
    for cell in m.cells:
        if cell.type in types:
            new = _renamed(modules[cell.type])
            cell.ports = {new.get(port, port): signal for port, signal in cell.ports.items()}
            cell.type = types[cell.type]


def _module_names(names: Iterable[str]) -> dict[str, str]:
    """Old → new name: a path's dots as `__` (a plain Verilog identifier), its number gone where that is unique."""
    new: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        plain = name.replace(".", "__")
        bare = re.sub(r"\$\d+(?=$|__)", "", plain)
        new[name] = plain if bare in used else bare
        used.add(new[name])
    return new


class _Names:
    """Old → new names inside each module, blocks inside first: nets are named after their ports' new names."""

    def __init__(self, modules: dict[str, _Module]):
        self.modules = modules
        self.lines = {name: _without_unread(m) for name, m in modules.items()}
        self._known: dict[str, dict[str, str]] = {}

    def inside(self, module: str) -> dict[str, str]:
        if module not in self._known:
            self._known[module] = self._made(self.modules[module])
        return self._known[module]

    def _made(self, m: _Module) -> dict[str, str]:
        own = [o[1] for line in self.lines[m.name] if (o := _OWN.match(line))]
        # What users connect to keeps its name; so do ports without a number.
        fixed = {name for name in own if name in m.ports and (m.top or not _NUMBERED.search(name))}
        ends = self._ends(m)
        new = {name: name for name in fixed}
        used = set(fixed)
        for name in own:
            if name in ends and name not in fixed and ends[name] not in used:
                new[name] = ends[name]
                used.add(ends[name])
        bases = dict(new)
        # Blocks keep theirs against a net of the same name.
        for cell in m.cells:
            plain = _NUMBERED.sub("", cell.name)
            if cell.type in self.modules and plain not in used:
                new[cell.name] = plain
                used.add(plain)
        free = Counter(_NUMBERED.sub("", name) for name in own if name not in new)
        for name in sorted((n for n in own if n not in new), key=lambda n: bool(_NUMBERED.search(n))):
            # Fields of a payload (`payload.field`) follow their payload; others lose their number if that is no clash.
            base, *parts = _FIELD.split(name, maxsplit=1)
            rest = "".join(parts)
            wanted = bases[base] + rest if rest and base in bases else _NUMBERED.sub("", name)
            if wanted in used or (wanted != name and free[wanted] > 1 and wanted in own and wanted not in new):
                wanted = name
            while wanted in used:
                wanted += "_net"
            new[name] = wanted
            used.add(wanted)
        return new

    def _ends(self, m: _Module) -> dict[str, str]:
        """Wires named after the port of a block inside → block and port, of the one that drives it or else reads it."""
        drivers: dict[str, str] = {}
        readers: dict[str, str] = {}
        named: set[str] = set()
        for cell in m.cells:
            if cell.type not in self.modules:
                continue
            ports = self.modules[cell.type].ports
            for port, signal in cell.ports.items():
                wire = _WHOLE.match(signal)
                if not wire or (wire[2] and m.widths.get(wire[1]) != int(wire[2]) + 1):
                    continue
                plain = _NUMBERED.sub("", wire[1])
                end = f"{_NUMBERED.sub('', cell.name)}__{self.inside(cell.type).get(port, port)[1:]}"
                if ports.get(port) == "output":
                    drivers[wire[1]] = end
                elif plain in (_NUMBERED.sub("", port), "\\port"):
                    readers.setdefault(wire[1], end)
                if plain in (_NUMBERED.sub("", port), "\\port"):
                    named.add(wire[1])
        return {wire: drivers.get(wire) or readers[wire] for wire in sorted(named)}


def _rewritten(m: _Module, names: _Names, types: dict[str, str], module_names: dict[str, str]) -> str:
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
        elif cell := _CELL.match(line):
            kind = types.get(cell[1], cell[1])
            ports = names.inside(kind) if kind in names.modules else {}
            out.append(f"  cell {module_names.get(kind, kind)} {new.get(cell[2], cell[2])}")
        elif port := _CELL_PORT.match(line):
            out.append(f"    connect {ports.get(port[1], port[1])} {_NAME.sub(name, port[2])}")
        elif line.startswith("    parameter "):
            # Only a memory cell's parameter holds a name: as a string, its backslash escaped.
            out.append(re.sub(r'"\\(\\[^"]+)"', lambda s: f'"\\{new.get(s[1], s[1])}"', line))
        else:
            out.append(_NAME.sub(name, line))
    return "\n".join(out) + "\n"


def _without_unread(m: _Module) -> list[str]:
    """The lines without numbered names that only repeat another net and that nothing reads."""
    times = Counter(word for line in m.lines for word in _NAME.findall(_CELL_PORT.sub(r"\2", line)))
    drop = {wire for wire in m.widths
            if wire not in m.ports and "$" in wire and times[wire] == 2}
    aliased = {c[1] for line in m.lines if (c := _CONNECT.match(line))}
    drop &= aliased
    out: list[str] = []
    for line in m.lines:
        wire, alias = _WIRE.match(line), _CONNECT.match(line)
        if wire and wire[3] in drop:
            while out and out[-1].startswith("  attribute "):
                out.pop()
        elif not (alias and alias[1] in drop):
            out.append(line)
    return out
