"""Cuts Verilog into blocks that are synthesised one by one.

The accelerator's Verilog has a module per unit (`spatten_hw.shared`). Each unit is synthesised alone, and the netlists
are joined afterwards: a changed unit is the only one to be done again, and no step holds the whole design.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

_MODULE = re.compile(r"^(?:\(\*[^\n]*\*\)\n)*module (\\\S+ |\w+).*?^endmodule\n?", re.MULTILINE | re.DOTALL)
#: `type name (` or `type #(` at the start of a statement, as Yosys writes instances.
_INSTANCE = re.compile(r"^  (\\\S+ |\w+) (?:#\(|(?:\\\S+ |\w+) ?\()", re.MULTILINE)
_PORT = re.compile(r"^  (input|output) (?:wire |reg )?(?:signed )?(?:\[(\d+):0\] )?(\\\S+ |\w+)\s*(?:=[^;]*)?;",
                   re.MULTILINE)


@dataclass(frozen=True)
class Port:
    """A port of a module: `direction` is "input" or "output", `width` in bits."""

    name: str
    direction: str
    width: int


class Design:
    """The modules of a Verilog text."""

    def __init__(self, verilog: str):
        #: Module name → text, in the order of the text.
        self.modules = {match.group(1).strip(): match.group(0) for match in _MODULE.finditer(verilog)}

    @cached_property
    def children(self) -> dict[str, dict[str, int]]:
        """Module → module it instantiates → how many times."""
        found: dict[str, dict[str, int]] = {}
        for name, text in self.modules.items():
            counts: dict[str, int] = {}
            for match in _INSTANCE.finditer(text):
                child = match.group(1).strip()
                if child in self.modules:
                    counts[child] = counts.get(child, 0) + 1
            found[name] = counts
        return found

    def closure(self, top: str, without: Iterable[str] = ()) -> list[str]:
        """`top` and every module below it, but none of `without` and nothing below those alone; as in the text."""
        stop, seen, waiting = set(without), set(), [top]
        while waiting:
            name = waiting.pop()
            if name not in seen and name not in stop:
                seen.add(name)
                waiting += self.children[name]
        return [name for name in self.modules if name in seen]

    def text(self, names: Iterable[str]) -> str:
        """The text of some modules."""
        return "".join(self.modules[name] for name in names)

    def digest(self, names: Iterable[str]) -> str:
        """Of the text of some modules, without what moves with the text around them: source references and the
        numbers of the Verilog back end's own names."""
        text = re.sub(r"\(\* src = \"[^\"\n]*\" \*\)|\$auto\$\S+", "", self.text(names))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def ports(self, name: str) -> list[Port]:
        """Ports of a module, in the order in which they are declared."""
        return [Port(p.group(3).strip(), p.group(1), int(p.group(2) or 0) + 1)
                for p in _PORT.finditer(self.modules[name])]

    def occurrences(self, top: str) -> dict[str, int]:
        """Every module below `top` → how often it occurs there."""
        counts: dict[str, int] = {}

        def walk(name: str, times: int) -> None:
            for child, n in self.children[name].items():
                counts[child] = counts.get(child, 0) + times * n
                walk(child, times * n)
        walk(top, 1)
        return counts
