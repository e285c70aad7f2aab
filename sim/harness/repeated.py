"""Modules that a design has many times, compiled once.

Verilator flattens a design: unless it is told not to, each of `full`'s 33 lane ports becomes C++ of its own, three
quarters of all. A module that is not taken apart, and whose ports keep their own variables (which is what "public"
means to Verilator's optimiser), gives the same functions for every instance, and Verilator keeps one of them.
"""

from __future__ import annotations

import re
from collections import Counter

_MODULE = re.compile(r"^module (\S+) ?\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\S+) \S+ \(\n    \.", re.MULTILINE)
#: Characters of Verilog, of all instances but one, from which a module is worth it: below, calls cost more than they
#: save.
LEAST = 100_000


def repeated(verilog: str, top: str) -> list[str]:
    """Names of the modules of `verilog`, below module `top`, that are worth to be compiled once: those that repeat in
    what is around them; what is inside them repeats with them."""
    modules = {match[1]: match[0] for match in _MODULE.finditer(verilog)}
    children = {name: Counter(child for child in _INSTANCE.findall(text) if child in modules)
                for name, text in modules.items()}
    sizes: dict[str, int] = {}

    def size(name: str) -> int:
        if name not in sizes:
            sizes[name] = len(modules[name]) + sum(n * size(child) for child, n in children[name].items())
        return sizes[name]

    count: Counter[str] = Counter()
    found: list[str] = []

    def walk(name: str, times: int) -> None:
        for child, n in children[name].items():
            count[child] += n * times
            walk(child, n * times)

    if top in modules:  # else Verilator says what is wrong
        walk(top, 1)
    within: Counter[str] = Counter()
    for name in sorted(count, key=size, reverse=True):
        # Instances inside a module that is compiled once are themselves compiled once.
        instances = count[name] - within[name]
        if (instances - 1) * size(name) >= LEAST:
            found.append(name)
            below: Counter[str] = Counter()
            count_inside(children, name, below, 1)
            for child, n in below.items():
                within[child] += (instances - 1) * n
    return found


def count_inside(children: dict[str, Counter[str]], name: str, total: Counter[str], times: int) -> None:
    for child, n in children[name].items():
        total[child] += n * times
        count_inside(children, child, total, n * times)


def configuration(verilog: str, top: str) -> str:
    """Verilator's configuration file that says so."""
    lines = ["`verilator_config"]
    for name in repeated(verilog, top):
        lines += [f'no_inline -module "{name}"', f'public_flat_rd -module "{name}" -port "*"']
    return "\n".join([*lines, ""])
