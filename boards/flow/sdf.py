"""Critical paths of a netlist that is placed and not routed, from the delays that nextpnr writes as SDF."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .paths import CriticalPath, Step, design_name

#: Delays are triples (least, typical, most), here of the slowest corner: the last counts.
_TRIPLE = r"\((-?\d+):(-?\d+):(-?\d+)\)"
_WIRE = re.compile(r"\(INTERCONNECT (\S+) (\S+) " + _TRIPLE)
_ARC = re.compile(r"\(IOPATH (\S+) (\S+) " + _TRIPLE)
_SETUP = re.compile(r"\(SETUPHOLD \(\w+ (\S+)\) \(\w+ \S+\) " + _TRIPLE)
#: Pins from which an arc begins a path instead of going on with one.
_CLOCK = re.compile(r"CLK\w*|WCK|CK")
#: What never changes has no arrival time.
_NEVER = -10**9
PICOSECONDS = 1000.0


@dataclass
class _Netlist:
    """Delays in picoseconds. `wires`: pin driven → (driving pin, delay); `arcs`: output pin → [(input pin, delay)];
    `setups`: input pin of a register, memory or multiplier → setup time. Pins are "cell/port"."""

    wires: dict[str, tuple[str, int]] = field(default_factory=dict)
    arcs: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    setups: dict[str, int] = field(default_factory=dict)


def late_paths(lines: Iterable[str], count: int = 20) -> tuple[CriticalPath, ...]:
    """The slowest path between every two signals, slowest first, at most `count` of them.

    `lines`: SDF as nextpnr writes it (IEEE 1497), of a netlist with one clock; without routing its wires are those
    that the placer reckons with. Ends are registers, memories and multipliers, pins of the device are none. Names as
    in `design_name`; a step names the signal of the cell that drives the wire, and no source.
    """
    netlist = _read(lines)
    arrival: dict[str, int] = {}
    before: dict[str, str | None] = {}
    ends = []
    for pin, setup in netlist.setups.items():
        if pin in netlist.wires:
            driver, wire = netlist.wires[pin]
            _arrive(netlist, driver, arrival, before)
            if arrival[driver] >= 0:
                ends.append((arrival[driver] + wire + setup, pin))
    paths: dict[tuple[str, str], CriticalPath] = {}
    for _, pin in sorted(ends, reverse=True):
        path = _path(netlist, pin, before)
        paths.setdefault((_signal(path.start), _signal(path.end)), path)
        if len(paths) == count:
            break
    return tuple(paths.values())


def _read(lines: Iterable[str]) -> _Netlist:
    found = _Netlist()
    cell = ""
    for line in map(str.strip, lines):
        if line.startswith("(INSTANCE"):
            cell = line[len("(INSTANCE"):-1].strip()
        elif match := _WIRE.match(line):
            found.wires[match[2]] = match[1], int(match[5])
        elif match := _ARC.match(line):
            found.arcs.setdefault(f"{cell}/{match[2]}", []).append((f"{cell}/{match[1]}", int(match[5])))
        elif match := _SETUP.match(line):
            pin = f"{cell}/{match[1]}"
            found.setups[pin] = max(found.setups.get(pin, 0), int(match[4]))
    return found


def _clocked(arcs: list[tuple[str, int]]) -> bool:
    return all(_CLOCK.fullmatch(pin.rsplit("/", 1)[1]) for pin, _ in arcs)


def _inputs(netlist: _Netlist, output: str) -> Iterator[tuple[str, int]]:
    """Outputs that `output` depends on within the cycle, with the delay from there."""
    for pin, logic in netlist.arcs.get(output, ()):
        if pin in netlist.wires:
            driver, wire = netlist.wires[pin]
            yield driver, wire + logic


def _arrive(netlist: _Netlist, output: str, arrival: dict[str, int], before: dict[str, str | None]) -> None:
    """Enters when `output` settles, and the output that decides that. Not recursive: carry chains are long."""
    waiting = [output]
    while waiting:
        here = waiting[-1]
        arcs = netlist.arcs.get(here, [])
        if here in arrival:
            waiting.pop()
        elif not arcs or _clocked(arcs):
            arrival[here], before[here] = max((delay for _, delay in arcs), default=_NEVER), None
        elif missing := [driver for driver, _ in _inputs(netlist, here) if driver not in arrival]:
            waiting.extend(missing)
        else:
            arrival[here], before[here] = max(((arrival[driver] + delay, driver)
                                               for driver, delay in _inputs(netlist, here)), default=(_NEVER, None))


def _path(netlist: _Netlist, end: str, before: dict[str, str | None]) -> CriticalPath:
    """The slowest path that ends at the pin `end`."""
    outputs: list[str] = [netlist.wires[end][0]]
    while (earlier := before[outputs[-1]]) is not None:
        outputs.append(earlier)
    outputs.reverse()
    steps = []
    logic, routing = netlist.setups[end], 0
    for number, output in enumerate(outputs):
        arcs = netlist.arcs.get(output, [])
        if number == 0:
            arc = max((delay for _, delay in arcs), default=0)
        else:
            arc = max(delay for pin, delay in arcs
                      if pin in netlist.wires and netlist.wires[pin][0] == outputs[number - 1])
        following = outputs[number + 1] if number + 1 < len(outputs) else None
        wire = netlist.wires[end][1] if following is None else max(
            netlist.wires[pin][1] for pin, _ in netlist.arcs[following]
            if pin in netlist.wires and netlist.wires[pin][0] == output)
        logic, routing = logic + arc, routing + wire
        steps.append(Step(_name(output), "", wire / PICOSECONDS, arc / PICOSECONDS))
    return CriticalPath("clk", steps[0].signal, _name(end), len(outputs) - 1, logic / PICOSECONDS,
                        routing / PICOSECONDS, tuple(steps))


def _name(pin: str) -> str:
    return design_name(pin.rsplit("/", 1)[0].replace("\\", ""))


def _signal(name: str) -> str:
    """`name` without the number of a bit."""
    return re.sub(r"\[\d+\]$|_\d+$", "", name)
