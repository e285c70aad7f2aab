"""Power of a mapped netlist by what its nets do: the tables of a Liberty file, net by net.

Debian's OpenSTA (2019) takes activities of inputs alone and spreads them by chance, so this is its arithmetic with
every net's own count. Of each transition: half C·V² of the pins and wires of the net, and what the cell that drives it
takes inside, by its load and the slew at its inputs; of each flip-flop its clock pin, which moves twice a cycle. Slews
are the mean of rising and falling, from the registers on. There is no clock tree in it, and no transition that a delay
makes and the next gate takes back (`gates.py` counts what nets settle to).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .gates import order
from .liberty import Arc, Cell, Cells, Table
from .mapped import ONE, Mapped

#: ns: slew of the clock, and of inputs of the block, whose drivers are elsewhere.
SLEW = 0.1


@dataclass(frozen=True)
class Power:
    """pJ per cycle: `internal` to cells, `switching` of nets; `leakage` in W. `sequential`: the part of both energies
    that flip-flops and their clock pins take; `clock`: that of the clock pins alone, whatever the data do."""

    internal: float
    switching: float
    leakage: float
    sequential: float
    clock: float

    @property
    def dynamic(self) -> float:
        return self.internal + self.switching


def power(netlist: Mapped, cells: Cells, toggles: np.ndarray, wire: float) -> Power:
    """`toggles`: of each net, per cycle; `wire`: capacitance of a net's wires per reader, in the file's unit (pF)."""
    load = loads(netlist, cells, wire)
    slew = slews(netlist, cells, load)
    half = 0.5 * cells.volts ** 2
    internal = sequential = leakage = clocks = 0.0
    switching = half * float((load * toggles)[ONE + 1:].sum())
    for kind, pins in netlist.groups.items():
        cell = cells.by_name[kind]
        count = len(next(iter(pins.values())))
        leakage += count * cell.leakage * cells.leakage_unit
        taken = np.zeros(count)
        for pin in {arc.pin for arc in cell.power}:
            arcs = [arc for arc in cell.power if arc.pin == pin]
            if pin == cell.clock:
                taken += _clock_pin(cell)
            elif pin in pins:
                each = np.mean([_energy(arc, pins, load, slew) for arc in arcs], axis=0)
                taken += each * toggles[pins[pin]] * (pins[pin] > ONE)
        internal += float(taken.sum())
        if cell.clock:
            clock = count * (cell.capacitance[cell.clock] + wire) * 2 * half
            clocks += clock + count * _clock_pin(cell)
            driven = sum(float((load * toggles)[pins[pin]].sum()) for pin in cell.outputs if pin in pins)
            switching += clock
            sequential += float(taken.sum()) + clock + half * driven
    return Power(internal, switching, leakage, sequential, clocks)


def clock_energy(netlist: Mapped, cells: Cells, wire: float) -> float:
    """pJ per cycle of all clock pins, whatever the data do."""
    return sum(len(next(iter(pins.values()))) * (
        _clock_pin(cell) + (cell.capacitance[cell.clock] + wire) * cells.volts ** 2)
        for kind, pins in netlist.groups.items() if (cell := cells.by_name[kind]).clock)


def _clock_pin(cell: Cell) -> float:
    """pJ inside a flip-flop of a rise and a fall of its clock."""
    arcs = [arc for arc in cell.power if arc.pin == cell.clock]
    return sum(float(_at(t, np.zeros(1), np.full(1, SLEW))[0]) for arc in arcs[:1] for t in (arc.rise, arc.fall))


def loads(netlist: Mapped, cells: Cells, wire: float) -> np.ndarray:
    """Capacitance of each net: pins that read it, and wires."""
    load = np.zeros(netlist.nets)
    for kind, pins in netlist.groups.items():
        cell = cells.by_name[kind]
        for pin in cell.inputs:
            if pin in pins and pin != cell.clock:
                np.add.at(load, pins[pin], cell.capacitance[pin] + wire)
    load[:ONE + 1] = 0
    return load


def slews(netlist: Mapped, cells: Cells, load: np.ndarray) -> np.ndarray:
    """Mean slew of each net, in ns."""
    slew = np.full(netlist.nets, SLEW)
    for kind, pins in netlist.groups.items():
        if cells.by_name[kind].clock:
            _drive(kind, np.arange(len(next(iter(pins.values())))), netlist, cells, load, slew)
    for kind, rows in order(netlist, cells):
        _drive(kind, rows, netlist, cells, load, slew)
    return slew


def _drive(kind: str, rows: np.ndarray, netlist: Mapped, cells: Cells, load: np.ndarray, slew: np.ndarray) -> None:
    pins = {name: nets[rows] for name, nets in netlist.groups[kind].items()}
    for pin in cells.by_name[kind].outputs:
        arcs = [arc for arc in cells.by_name[kind].slews if arc.pin == pin]
        if pin in pins and arcs:
            slew[pins[pin]] = np.mean([_energy(arc, pins, load, slew) for arc in arcs], axis=0)


def _energy(arc: Arc, pins: dict[str, np.ndarray], load: np.ndarray, slew: np.ndarray) -> np.ndarray:
    """Mean of the tables for a rise and a fall."""
    nets = pins[arc.pin]
    by = pins.get(arc.related or arc.pin, np.zeros(len(nets), dtype=np.int64))
    edge = np.full(len(nets), SLEW) if arc.related not in pins and arc.related else slew[by]
    return (_at(arc.rise, load[nets], edge) + _at(arc.fall, load[nets], edge)) / 2


def _at(table: Table, load: np.ndarray, slew: np.ndarray) -> np.ndarray:
    """Linear between the table's entries, its edges beyond them."""
    values = np.array(table.values)

    def place(index: tuple[float, ...], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(index) == 1:
            return np.zeros(len(x), dtype=np.int64), np.zeros(len(x))
        points = np.array(index)
        at = np.clip(np.searchsorted(points, x) - 1, 0, len(points) - 2)
        return at, np.clip((x - points[at]) / (points[at + 1] - points[at]), 0, 1)
    (i, u), (j, v) = place(table.load, load), place(table.slew, slew)
    k, m = np.minimum(i + 1, len(table.load) - 1), np.minimum(j + 1, len(table.slew) - 1)
    return ((1 - u) * ((1 - v) * values[i, j] + v * values[i, m]) + u * ((1 - v) * values[k, j] + v * values[k, m]))
