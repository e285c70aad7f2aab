"""Finds modules that only wrap one block, and removes them from between the block and its users.

A `Shared` block is converted once, but each place that uses it adds a wrapper module with the block's ports.
"""

from __future__ import annotations

from .modules import CELL, CELL_PORT, NUMBERED, WHOLE, Module


def wrapped_blocks(modules: dict[str, Module]) -> dict[str, str]:
    """Modules that hold one block, its ports under the same names (or `_renamed`), and nothing else → the module of
    that block."""
    found = {}
    for m in modules.values():
        if len(m.cells) == 1 and m.cells[0].type in modules and not m.process:
            block = m.cells[0]
            named = {port for port, signal in block.ports.items() if (w := WHOLE.match(signal)) and w[1] == port}
            renamed = _renamed(m)
            passed = named | set(renamed.values())
            if (set(m.ports) <= named | set(renamed) and set(block.ports) - passed == set(_unread(m))
                    and block.name == "\\block"):
                found[m.name] = block.type
    return found


def _renamed(wrapper: Module) -> dict[str, str]:
    """Ports of a wrapper that its block knows under another name (a reset of its own) → that name."""
    return {w[1]: port for port, signal in wrapper.cells[0].ports.items()
            if (w := WHOLE.match(signal)) and w[1] != port and w[1] in wrapper.ports}


def _unread(wrapper: Module) -> list[str]:
    """Ports of the block that its wrapper leaves open."""
    return [port for port, signal in wrapper.cells[0].ports.items() if signal.startswith("$") and " " not in signal]


def unwrap(m: Module, modules: dict[str, Module], types: dict[str, str]) -> None:
    """Makes `m`'s cells instances of the blocks in the wrappers; a port that a wrapper left open gets its own net."""
    inside: list[str] = []
    lines: list[str] = []
    renamed: dict[str, str] = {}
    for line in m.lines:
        if (connected := CELL_PORT.match(line)) and connected[1] in renamed:
            line = line.replace(connected[1], renamed[connected[1]], 1)
        lines.append(line)
        made = CELL.match(line)
        if made:
            renamed = {}
        if made and made[1] in types:
            wrapper = modules[made[1]]
            renamed = _renamed(wrapper)
            for port in _unread(wrapper):
                net = f"{NUMBERED.sub('', made[2])}__{port[1:]}"
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
