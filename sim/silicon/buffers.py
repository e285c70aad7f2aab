"""Buffer trees for nets with many readers, which synthesis leaves to whoever places the cells.

Without them a reset or an enable that thousands of flip-flops read would take a hundred nanoseconds at one small gate,
and the slow edges would cost more power than the work. A net with more than `FAN_OUT` readers gets a tree of the
library's largest buffer; the clock is left out (a clock tree is not modelled).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatten_hw.errors import UserError

from .liberty import Cell, Cells
from .mapped import ONE, Mapped

#: Readers of a net, or of a buffer, at most.
FAN_OUT = 8


def buffer_cell(cells: Cells) -> Cell:
    """The largest buffer of the library that is not made for clocks. Raises `UserError` if it has none."""
    found = [cell for cell in cells.by_name.values() if len(cell.inputs) == 1 and not cell.clock and cell.area > 0
             and len(cell.outputs) == 1 and next(iter(cell.outputs.values())).strip("() ") == cell.inputs[0]
             and not cell.name.upper().startswith("CLK")]
    if not found:
        raise UserError(f"--liberty {cells.path}: has no buffer")
    return max(found, key=lambda cell: cell.area)


def buffered(netlist: Mapped, cells: Cells) -> tuple[Mapped, dict[int, int]]:
    """`netlist` with buffers; net that a buffer drives → net that it repeats."""
    buffer = buffer_cell(cells)
    source_pin, = buffer.inputs
    sink_pin, = buffer.outputs
    groups = {kind: {pin: nets.copy() for pin, nets in pins.items()} for kind, pins in netlist.groups.items()}
    readers: list[tuple[np.ndarray, np.ndarray]] = []
    places = []
    for kind, pins in groups.items():
        for pin in cells.by_name[kind].inputs:
            if pin in pins and pin != cells.by_name[kind].clock:
                places.append((kind, pin))
                readers.append((pins[pin], np.full(len(pins[pin]), len(places) - 1)))
    if not readers:
        return netlist, {}
    nets = np.concatenate([r[0] for r in readers])
    place = np.concatenate([r[1] for r in readers])
    row = np.concatenate([np.arange(len(r[0])) for r in readers])
    order = np.argsort(nets, kind="stable")
    nets, place, row = nets[order], place[order], row[order]
    starts = np.flatnonzero(np.r_[True, nets[1:] != nets[:-1]])
    counts = np.diff(np.r_[starts, len(nets)])
    inputs: list[int] = []
    outputs: list[int] = []
    repeats: dict[int, int] = {}
    used = netlist.nets
    for start, count in zip(starts[counts > FAN_OUT], counts[counts > FAN_OUT], strict=True):
        net = int(nets[start])
        if net <= ONE:
            continue
        level = -(-count // FAN_OUT)
        leaves = np.arange(used, used + level)
        used += level
        for n in range(count):
            kind, pin = places[place[start + n]]
            groups[kind][pin][row[start + n]] = leaves[n // FAN_OUT]
        while True:
            repeats |= dict.fromkeys(map(int, leaves), net)
            outputs += map(int, leaves)
            if len(leaves) <= FAN_OUT:
                inputs += [net] * len(leaves)
                break
            above = np.arange(used, used + -(-len(leaves) // FAN_OUT))
            used += len(above)
            inputs += [int(above[n // FAN_OUT]) for n in range(len(leaves))]
            leaves = above
    if inputs:
        old = groups.get(buffer.name, {source_pin: np.array([], np.int64), sink_pin: np.array([], np.int64)})
        groups[buffer.name] = {source_pin: np.concatenate([old[source_pin], np.array(inputs, np.int64)]),
                               sink_pin: np.concatenate([old[sink_pin], np.array(outputs, np.int64)])}
    names = netlist.names | {new: netlist.names[net] for new, net in repeats.items() if net in netlist.names}
    return replace(netlist, nets=used, groups=groups, names=names), repeats
