"""Modules that a design has many times, compiled once.

Verilator flattens a design: unless it is told not to, each of `full`'s 33 row ports becomes C++ of its own, three
quarters of all. A module that is not taken apart, and whose ports keep their own variables (which is what "public"
means to Verilator's optimiser), gives the same functions for every instance, and Verilator keeps one of them.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from spatten_hw.hierarchy import modules

_MODULE = re.compile(r"^module (\S+) ?\(.*?^endmodule", re.MULTILINE | re.DOTALL)
#: Characters of Verilog, of all instances but one, from which a module is worth it: below, calls cost more than they
#: save.
LEAST = 100_000


def repeated(verilog: str, top: str) -> list[str]:
    """Names of the modules of `verilog`, below module `top`, that are worth to be compiled once, the largest first.
    What is inside one of them is compiled once with it, and counts as often as it is there."""
    children = {name: Counter(module.instances.values()) for name, module in modules(verilog).items()}
    if top not in children:  # Verilator says what is wrong
        return []
    length = {match[1]: len(match[0]) for match in _MODULE.finditer(verilog)}

    @cache
    def inside(name: str) -> Counter[str]:
        """How often each module is below one instance of `name`, which is among them."""
        found = Counter({name: 1})
        for child, times in children[name].items():
            for below, n in inside(child).items():
                found[below] += times * n
        return found

    @cache
    def size(name: str) -> int:
        return sum(n * length[below] for below, n in inside(name).items())

    found = []
    left = Counter(inside(top))
    del left[top]
    for name in sorted(left, key=size, reverse=True):
        again = left[name] - 1
        if again * size(name) >= LEAST:
            found.append(name)
            for below, n in inside(name).items():
                left[below] -= again * n
    return found


def configuration(verilog: str, top: str) -> str:
    """Verilator's configuration file that says so."""
    lines = ["`verilator_config"]
    for name in repeated(verilog, top):
        lines += [f'no_inline -module "{name}"', f'public_flat_rd -module "{name}" -port "*"']
    return "\n".join([*lines, ""])
