"""What a generated Verilog text holds: its modules, their ports and instances, and the paper's name for each block."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .units import UNITS

#: Module, without the prefix of the design → number in SpAtten's Figure 8 ("" where it has none) and what it is.
FIGURE = {unit.module: (unit.figure, unit.title) for unit in UNITS} | {
    part.module: (part.figure, part.title) for unit in UNITS for part in unit.parts}

_MODULE = re.compile(r"^module (\\\S+|\w+)\s*\((.*?)\);\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^  (input|output) (?:signed )?(?:\[(\d+):0\] )?(\\\S+|\w+) ?;", re.MULTILINE)
_INSTANCE = re.compile(r"^  (\\\S+|\w+) (?:\(\*.*?\*\) )?(\\\S+|\w+) *\($", re.MULTILINE)


@dataclass(frozen=True)
class ModuleText:
    """One module. `ports`: name → (direction, bits), in the order of declaration; `instances`: name → module."""

    name: str
    ports: dict[str, tuple[str, int]]
    instances: dict[str, str]


def modules(verilog: str) -> dict[str, ModuleText]:
    """The modules of a text that `to_verilog` made, by name, in its order."""
    bodies = [(match[1], match[3]) for match in _MODULE.finditer(verilog)]
    names = {name for name, _ in bodies}
    return {
        name: ModuleText(
            name, {port[3]: (port[1], int(port[2] or 0) + 1) for port in _PORT.finditer(body)},
            {instance[2]: instance[1] for instance in _INSTANCE.finditer(body) if instance[1] in names})
        for name, body in bodies
    }


def tree(found: dict[str, ModuleText], top: str, depth: int) -> list[tuple[int, str, str]]:
    """(level, instance, module) of `top` and of what is in it down to `depth` levels below, parents first."""
    def walk(level: int, instance: str, module: str) -> list[tuple[int, str, str]]:
        below = found[module].instances.items() if level < depth else ()
        return [(level, instance, module)] + [row for i, m in sorted(below) for row in walk(level + 1, i, m)]
    return walk(0, top, top)


def figure(module: str, top: str) -> tuple[str, str]:
    """Number in the paper's Figure 8 and description of a module; both empty if it is a part that has none."""
    plain = module.removeprefix(f"{top}__accelerator__").removeprefix(f"{top}_")
    return FIGURE.get(plain, ("", ""))
