"""A Liberty file as this flow needs it: of each cell its area, leakage, pins, and what it computes.

The format: Synopsys, Liberty User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.boards.flow.standard_cells import liberty_text
from spatten_hw.errors import UserError

from .liberty_file import Group, parse


@dataclass(frozen=True)
class Table:
    """A table of the file by load and slew; an index that it does not have is one number, 0."""

    load: tuple[float, ...]
    slew: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]      # [load][slew]


@dataclass(frozen=True)
class Arc:
    """What a table pair says of a pin: `related`: the input whose slew counts ("": the pin's own), `rise`, `fall`."""

    pin: str
    related: str
    rise: Table
    fall: Table


@dataclass(frozen=True)
class Cell:
    """A cell. `area`: in the file's unit (µm² as a rule); `leakage`: in the file's unit; `inputs`: pins, clock
    included; `capacitance`: of each input, in the file's unit; `outputs`: pin → its function of the input pins, as
    text; of a flip-flop `next_state` is that of what it holds, and `clock` the pin that loads it. `power`: energies
    inside the cell, per transition of the pin; `slews`: of outputs."""

    name: str
    area: float
    leakage: float
    inputs: tuple[str, ...]
    capacitance: dict[str, float]
    outputs: dict[str, str]
    clock: str = ""
    next_state: str = ""
    power: tuple[Arc, ...] = ()
    slews: tuple[Arc, ...] = ()


class Cells:
    """The cells of a Liberty file. Raises `UserError` if it cannot be read, or is none."""

    def __init__(self, path: Path):
        self.path = path.resolve()
        try:
            library = parse(liberty_text(path))
        except ValueError as error:
            raise UserError(f"--liberty {path}: is not a Liberty file ({error})") from None
        self.volts = float(library.attributes.get("nom_voltage", "0"))
        self.leakage_unit = _unit(library.attributes.get("leakage_power_unit", "1nW"), "W")
        orders = {group.names[0]: group.attributes.get("variable_1", "") for kind in _TEMPLATES
                  for group in library.of(kind)}
        self.by_name = {cell.name: cell for cell in (_cell(group, orders) for group in library.of("cell"))}

    def check(self, needed: Iterable[str]) -> None:
        """Raises `UserError` if one of the cells `needed` is not there."""
        missing = sorted({name for name in needed if not name.startswith("$")} - set(self.by_name))
        if missing:
            raise UserError(f"--liberty {self.path}: has no cell {', '.join(missing)}, which the netlist consists of")


#: Groups that say what the indexes of a table are.
_TEMPLATES = ("power_lut_template", "lu_table_template")


def _arcs(pin: Group, orders: dict[str, str], kind: str, rise: str, fall: str) -> Iterator[Arc]:
    for group in pin.of(kind):
        tables = [_table(next(iter(group.of(name)), None), orders) for name in (rise, fall)]
        one, two = (table or tables[0] or tables[1] for table in tables)
        if one is not None and two is not None:
            for related in (group.attributes.get("related_pin", "") or "").split() or [""]:
                yield Arc(pin.names[0], related, one, two)


def _table(group: Group | None, orders: dict[str, str]) -> Table | None:
    if group is None:
        return None

    def numbers(kind: str) -> list[tuple[float, ...]]:
        return [tuple(float(word) for word in row.replace(",", " ").split()) for found in group.of(kind)
                for row in found.names]
    rows = numbers("values")
    first = next(iter(numbers("index_1")), (0.0,))
    second = next(iter(numbers("index_2")), (0.0,))
    by_load = "capacitance" in orders.get(group.names[0] if group.names else "", "")
    if len(rows) == 1 and len(first) == len(rows[0]) > 1:
        rows = [(value,) for value in rows[0]]
    if by_load:
        return Table(first, second, tuple(rows))
    return Table(second, first, tuple(zip(*rows, strict=True)))


def _cell(group: Group, orders: dict[str, str]) -> Cell:
    inputs, capacitance, outputs = [], {}, {}
    power: list[Arc] = []
    slews: list[Arc] = []
    flip_flop = next(iter(group.of("ff")), None)
    for pin in group.of("pin"):
        power += _arcs(pin, orders, "internal_power", "rise_power", "fall_power")
        slews += _arcs(pin, orders, "timing", "rise_transition", "fall_transition")
        for name in pin.names:
            if pin.attributes.get("direction") == "input":
                inputs.append(name)
                capacitance[name] = float(pin.attributes.get("capacitance", "0"))
            elif "function" in pin.attributes:
                outputs[name] = pin.attributes["function"]
    clock = flip_flop.attributes.get("clocked_on", "") if flip_flop else ""
    return Cell(group.names[0], float(group.attributes.get("area", "0")),
                float(group.attributes.get("cell_leakage_power", "0")), tuple(inputs), capacitance, outputs,
                clock.strip("!' ()"), flip_flop.attributes.get("next_state", "") if flip_flop else "",
                tuple(power), tuple(slews))


def _unit(text: str, base: str) -> float:
    match = re.fullmatch(rf"\s*([\d.]+)\s*([munpf]?){base}\s*", text)
    if match is None:
        return 1e-9
    return float(match[1]) * {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}[match[2]]
