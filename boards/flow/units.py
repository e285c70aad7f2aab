"""The accelerator's units, each a module of its own in the Verilog, and the blocks inside them that occur often."""

from __future__ import annotations

from collections.abc import Iterable

from spatten_hw.generate import TOP
from spatten_hw.units import UNITS

from .blocks import Design

#: A module that occurs at least so often in a unit is a block of its own if it is long enough.
OFTEN = 4
#: Lines of Verilog, with everything below it, from which a module that occurs often is worth its own synthesis.
LONG = 400


def unit_modules(top: str = TOP) -> dict[str, str]:
    """Unit → name of its module in Verilog whose modules' names start with `top`."""
    return {unit.name: f"{top}_{unit.module}" for unit in UNITS}


def repeated_modules(design: Design, units: Iterable[str]) -> list[str]:
    """Modules inside `units` that occur often and are long: synthesised once, counted as often as they occur."""
    counts = [design.occurrences(unit) for unit in units]
    found = []
    for name in design.modules:
        often = max(count.get(name, 0) for count in counts) >= OFTEN
        if often and design.text(design.closure(name)).count("\n") >= LONG:
            found.append(name)
    return found
