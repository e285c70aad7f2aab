"""What a generated Verilog text holds: its modules, their ports and instances, and the paper's name for each block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from .units import UNITS

#: Module, without the prefix of the design → number in SpAtten's Figure 8 ("" where it has none) and what it is.
FIGURE = {unit.module: (unit.figure, unit.title) for unit in UNITS} | {
    part.module: (part.figure, part.title) for unit in UNITS for part in unit.parts}

_MODULE = re.compile(r"^module (\\\S+|\w+)\s*\((.*?)\);\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^  (input|output) (?:signed )?(?:\[(\d+):0\] )?(\\\S+|\w+) ?;", re.MULTILINE)
_MEMORY = re.compile(r"^ *reg (?:\[(\d+):0\] )?\S+ \[(\d+):0\];", re.MULTILINE)
_INSTANCE = re.compile(r"^  (\\\S+|\w+) (?:\(\*.*?\*\) )?(\\\S+|\w+) *\($", re.MULTILINE)


@dataclass(frozen=True)
class ModuleText:
    """One module. `ports`: name → (direction, bits), in the order of declaration; `instances`: name → module;
    `memories`: bits of each that the module itself declares."""

    name: str
    ports: dict[str, tuple[str, int]]
    instances: dict[str, str]
    memories: tuple[int, ...] = ()


def modules(verilog: str) -> dict[str, ModuleText]:
    """The modules of a text that `to_verilog` made, by name, in its order."""
    bodies = [(match[1], match[3]) for match in _MODULE.finditer(verilog)]
    names = {name for name, _ in bodies}
    return {
        name: ModuleText(
            name, {port[3]: (port[1], int(port[2] or 0) + 1) for port in _PORT.finditer(body)},
            {instance[2]: instance[1] for instance in _INSTANCE.finditer(body) if instance[1] in names},
            tuple((int(memory[1] or 0) + 1) * (int(memory[2]) + 1) for memory in _MEMORY.finditer(body)))
        for name, body in bodies
    }


def memories(found: dict[str, ModuleText], top: str) -> tuple[int, int]:
    """(number, bits) of the memories of `top` and of all that is in it, those of a module once per instance."""
    @cache
    def of(module: str) -> tuple[int, int]:
        own = found[module].memories
        inside = [of(instance) for instance in found[module].instances.values()]
        return len(own) + sum(number for number, _ in inside), sum(own) + sum(bits for _, bits in inside)
    return of(top)


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
