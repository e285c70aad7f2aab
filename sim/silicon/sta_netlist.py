"""A mapped netlist as OpenSTA reads it: nets and cells by number, memories cut out."""

from __future__ import annotations

from collections.abc import Iterator

from .liberty import Cells
from .mapped import ONE, Mapped

CLOCK = "clk"


def inputs(netlist: Mapped, cells: Cells) -> list[int]:
    """Nets that come from outside, in the order of `verilog`'s ports."""
    return sorted(used(netlist, cells) - driven(netlist, cells) - {0, ONE})


def verilog(netlist: Mapped, cells: Cells) -> Iterator[str]:
    """The netlist for OpenSTA: nets n2, n3 …, cells u0, u1 … in the order of `instances`."""
    own = driven(netlist, cells)
    taken = inputs(netlist, cells)
    outputs = sorted(_taken(netlist) & own)
    ports = [CLOCK, *(f"n{n}" for n in taken), *(f"o{n}" for n in outputs)]
    yield f"module unit ({', '.join(ports)});"
    yield from (f"  input {port};" for port in ports[:1 + len(taken)])
    yield from (f"  output o{n};" for n in outputs)
    yield from (f"  wire n{n};" for n in sorted(own))
    yield from (f"  assign o{n} = n{n};" for n in outputs)
    for number, (kind, pins) in enumerate(instances(netlist)):
        clock = cells.by_name[kind].clock
        connected = ", ".join(f".{pin}({CLOCK if pin == clock else _wire(net)})" for pin, net in pins.items()
                              if net >= 0)
        yield f"  {kind} u{number} ({connected});"
    yield "endmodule"


def _wire(net: int) -> str:
    return f"1'b{net}" if net <= ONE else f"n{net}"


def instances(netlist: Mapped) -> Iterator[tuple[str, dict[str, int]]]:
    """Kind and pins → net of each cell, in the order of their numbers."""
    for kind, pins in netlist.groups.items():
        names = list(pins)
        for nets in zip(*(pins[name].tolist() for name in names), strict=True):
            yield kind, dict(zip(names, nets, strict=True))


def driven(netlist: Mapped, cells: Cells) -> set[int]:
    """Nets that cells drive."""
    return {int(net) for kind, pins in netlist.groups.items() for pin in cells.by_name[kind].outputs if pin in pins
            for net in pins[pin]}


def used(netlist: Mapped, cells: Cells) -> set[int]:
    """Nets that cells read, the clock left out."""
    return {int(net) for kind, pins in netlist.groups.items() for pin in cells.by_name[kind].inputs
            if pin in pins and pin != cells.by_name[kind].clock for net in pins[pin] if net >= 0}


def _taken(netlist: Mapped) -> set[int]:
    """What leaves the netlist's cells: ports, and what memories take."""
    found = {net for nets in netlist.outputs.values() for net in nets}
    for memory in netlist.memories:
        for enable, _, address in memory.reads:
            found |= {enable, *address}
        for enables, data, address in memory.writes:
            found |= {*enables, *data, *address}
    return found - {0, ONE}
