"""What OpenSTA reports, read back into the design's names: the slowest path, delays of cells."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .mapped import Mapped
from .sta_netlist import instances

_STEP = re.compile(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+[v^]\s+u(\d+)/(\w+) \((\w+)\)$", re.MULTILINE)
_PORT = re.compile(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+[v^]\s+([no])(\d+) \((?:in|out)\)$", re.MULTILINE)
_ARRIVAL = re.compile(r"^\s*(-?[\d.]+)\s+data arrival time$", re.MULTILINE)
_SETUP = re.compile(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+library setup time$", re.MULTILINE)


@dataclass(frozen=True)
class Stage:
    """A step of a path: ns from the clock's edge, kind of cell, and the net it drives in the design's names."""

    ns: float
    cell: str
    net: str


@dataclass(frozen=True)
class Timing:
    """`ns`: of the slowest path, set-up included; `start`, `end`: in the design's names; `stages`: between."""

    ns: float
    start: str
    end: str
    stages: tuple[Stage, ...]

    @property
    def as_json(self) -> dict[str, object]:
        return {"ns": self.ns, "start": self.start, "end": self.end,
                "stages": [[stage.ns, stage.cell, stage.net] for stage in self.stages]}


def read_path(log: str, netlist: Mapped) -> Timing:
    """The slowest path of a `report_checks`. ValueError if there is none."""
    arrival = _ARRIVAL.search(log)
    if arrival is None:
        raise ValueError("it shows no path")
    if (at := log.find("Startpoint")) >= 0:
        log = log[at:]
    cells = list(instances(netlist))
    setup = _SETUP.search(log)
    ns = float(arrival[1]) - (float(setup[1]) if setup else 0.0)
    stages = []
    for found in _STEP.finditer(log):
        kind, pins = cells[int(found[3])]
        net = pins.get(found[4], -1)
        if kind == found[5]:
            stages.append((float(found[2]), kind, found[4], net))
    start = re.search(r"^Startpoint: (\w+)", log, re.MULTILINE)
    end = re.search(r"^Endpoint: (\w+)", log, re.MULTILINE)
    outputs = [Stage(ns_, kind, _name(net, netlist)) for ns_, kind, pin, net in stages if pin not in ("CLK", "D")]
    return Timing(ns, _point(start, netlist, cells), _point(end, netlist, cells), tuple(outputs))


def _point(found: re.Match[str] | None, netlist: Mapped, cells: list[tuple[str, dict[str, int]]]) -> str:
    if found is None:
        return "?"
    name = found[1]
    if name.startswith("u") and name[1:].isdigit():
        pins = cells[int(name[1:])][1]
        return _name(pins.get("Q", -1), netlist)
    return _name(int(name[1:]), netlist) if name[1:].isdigit() else name


def _name(net: int, netlist: Mapped) -> str:
    found = netlist.names.get(net)
    return "" if found is None else f"{found[0]}[{found[1]}]"


def read_sdf(text: str, count: int) -> list[int]:
    """ps of cells u0 … out of an SDF file (IEEE 1497) in ns: the longest IOPATH of each, 0 where there is none."""
    found = [0] * count
    for cell in text.split("(CELL")[1:]:
        name = re.search(r"\(INSTANCE u(\d+)\)", cell)
        numbers = [float(n) for path in re.findall(r"\(IOPATH .*", cell) for n in re.findall(r"\d+\.\d+", path)]
        if name is not None and numbers:
            found[int(name[1])] = round(max(numbers) * 1000)
    return found
