"""OpenSTA on a unit's mapped netlist: the slowest path in the design's names, and power by the activity of every net.

Debian has it (`apt-get install opensta`), a version that reads no traces: activities go in as commands, one per net. The
netlist is given to it with nets and cells by number, and read back into the design's names. Memories are cut out: what
they give comes in a clock's access time late, what they take is an output.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatten_hw.boards.flow.tools import run_tool
from spatten_hw.errors import UserError

from .liberty import Cells
from .mapped import ONE, Mapped

PACKAGE = "opensta"
#: Names of the program: Debian's package installs `sta`.
PROGRAMS = ("sta", "opensta")
#: Period of the clock in ns that power is reported at; energy per cycle does not depend on it.
PERIOD = 10.0
CLOCK = "clk"


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


@dataclass(frozen=True)
class Power:
    """pJ per cycle: `internal` to cells, `switching` of nets; `leakage` in W. `sequential`: the part of both energies
    that flip-flops take, their clock pins included."""

    internal: float
    switching: float
    leakage: float
    sequential: float

    @property
    def dynamic(self) -> float:
        return self.internal + self.switching


def program() -> str:
    """OpenSTA. Raises `UserError` if it is missing."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise UserError(f"OpenSTA is missing; install with: apt-get install {PACKAGE}")


def analyse(netlist: Mapped, cells: Cells, *, toggles: np.ndarray | None = None, duty: np.ndarray | None = None,
            arrival: Mapping[int, float] | None = None, timing: bool = True) -> tuple[Timing | None, Power | None]:
    """`toggles` and `duty`: of each net, as `gates.Activity` has them; without them no power. `arrival`: net → ns after
    the clock's edge at which a memory or a box gives it."""
    with tempfile.TemporaryDirectory(prefix="sta-") as name:
        folder = Path(name)
        (folder / "unit.v").write_text("\n".join(verilog(netlist, cells)))
        (folder / "run.tcl").write_text("\n".join(_script(netlist, cells, toggles, duty, arrival or {}, timing)))
        run_tool([program(), "-no_splash", "-exit", "run.tcl"], folder, "opensta.log")
        log = (folder / "opensta.log").read_text()
    try:
        return (read_path(log, netlist) if timing else None), (read_power(log) if toggles is not None else None)
    except (ValueError, IndexError) as error:
        raise UserError(f"OpenSTA's report of {netlist.module} cannot be read: {error}") from error


def verilog(netlist: Mapped, cells: Cells) -> Iterator[str]:
    """The netlist for OpenSTA: nets n2, n3 …, cells u0, u1 … in the order of `instances`."""
    driven, used = _driven(netlist, cells), _used(netlist, cells)
    inputs = sorted(used - driven - {0, ONE})
    outputs = sorted(_taken(netlist) & driven)
    ports = [CLOCK, *(f"n{n}" for n in inputs), *(f"o{n}" for n in outputs)]
    yield f"module unit ({', '.join(ports)});"
    yield from (f"  input {port};" for port in ports[:1 + len(inputs)])
    yield from (f"  output o{n};" for n in outputs)
    yield from (f"  wire n{n};" for n in sorted(driven))
    yield from (f"  assign o{n} = n{n};" for n in outputs)
    for number, (kind, pins) in enumerate(_instances(netlist)):
        clock = cells.by_name[kind].clock
        connected = ", ".join(f".{pin}({CLOCK if pin == clock else _wire(net)})" for pin, net in pins.items()
                              if net >= 0)
        yield f"  {kind} u{number} ({connected});"
    yield "endmodule"


def _wire(net: int) -> str:
    return f"1'b{net}" if net <= ONE else f"n{net}"


def _instances(netlist: Mapped) -> Iterator[tuple[str, dict[str, int]]]:
    for kind, pins in netlist.groups.items():
        names = list(pins)
        for nets in zip(*(pins[name].tolist() for name in names), strict=True):
            yield kind, dict(zip(names, nets, strict=True))


def _driven(netlist: Mapped, cells: Cells) -> set[int]:
    return {int(net) for kind, pins in netlist.groups.items() for pin in cells.by_name[kind].outputs if pin in pins
            for net in pins[pin]}


def _used(netlist: Mapped, cells: Cells) -> set[int]:
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


def _script(netlist: Mapped, cells: Cells, toggles: np.ndarray | None, duty: np.ndarray | None,
            arrival: Mapping[int, float], timing: bool) -> Iterator[str]:
    yield f"read_liberty {{{cells.path}}}"
    yield "read_verilog unit.v"
    yield "link_design unit"
    yield f"create_clock -name {CLOCK} -period {PERIOD} [get_ports {CLOCK}]"
    used, driven = _used(netlist, cells), _driven(netlist, cells)
    for net, ns in arrival.items():
        if net in used and net not in driven:
            yield f"set_input_delay {ns:.4f} -clock {CLOCK} [get_ports n{net}]"
    # What leaves is held against the clock's end, too: in the next unit, or in a memory.
    yield f"set_output_delay 0 -clock {CLOCK} [all_outputs]"
    if timing:
        yield "report_checks -path_delay max -format full -fields {net} -digits 4"
    if toggles is not None and duty is not None:
        for net in sorted(used - driven - {0, ONE}):
            yield f"set_power_activity -input_ports n{net} -activity {toggles[net]:.5f} -duty {duty[net]:.4f}"
        for number, (kind, pins) in enumerate(_instances(netlist)):
            for pin in cells.by_name[kind].outputs:
                if pins.get(pin, -1) > ONE:
                    net = pins[pin]
                    yield (f"set_power_activity -pins u{number}/{pin} -activity {toggles[net]:.5f} "
                           f"-duty {duty[net]:.4f}")
        yield "report_power -digits 9"


_STEP = re.compile(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+[v^]\s+u(\d+)/(\w+) \((\w+)\)$", re.MULTILINE)
_PORT = re.compile(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+[v^]\s+([no])(\d+) \((?:in|out)\)$", re.MULTILINE)
_ARRIVAL = re.compile(r"^\s*(-?[\d.]+)\s+data arrival time$", re.MULTILINE)
_SETUP = re.compile(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+library setup time$", re.MULTILINE)


def read_path(log: str, netlist: Mapped) -> Timing:
    """The slowest path of a `report_checks`. ValueError if there is none."""
    arrival = _ARRIVAL.search(log)
    if arrival is None:
        raise ValueError("it shows no path")
    if (at := log.find("Startpoint")) >= 0:
        log = log[at:]
    instances = list(_instances(netlist))
    setup = _SETUP.search(log)
    ns = float(arrival[1]) - (float(setup[1]) if setup else 0.0)
    stages = []
    for found in _STEP.finditer(log):
        kind, pins = instances[int(found[3])]
        net = pins.get(found[4], -1)
        if kind == found[5]:
            stages.append((float(found[2]), kind, found[4], net))
    start = re.search(r"^Startpoint: (\w+)", log, re.MULTILINE)
    end = re.search(r"^Endpoint: (\w+)", log, re.MULTILINE)
    outputs = [Stage(ns_, kind, _name(net, netlist)) for ns_, kind, pin, net in stages if pin not in ("CLK", "D")]
    return Timing(ns, _point(start, netlist, instances), _point(end, netlist, instances), tuple(outputs))


def _point(found: re.Match[str] | None, netlist: Mapped, instances: list[tuple[str, dict[str, int]]]) -> str:
    if found is None:
        return "?"
    name = found[1]
    if name.startswith("u") and name[1:].isdigit():
        pins = instances[int(name[1:])][1]
        return _name(pins.get("Q", -1), netlist)
    return _name(int(name[1:]), netlist) if name[1:].isdigit() else name


def _name(net: int, netlist: Mapped) -> str:
    found = netlist.names.get(net)
    return "" if found is None else f"{found[0]}[{found[1]}]"


_ROW = re.compile(r"^(Sequential|Combinational|Macro|Pad|Total)((?:\s+[-+\d.e]+){4})", re.MULTILINE)


def read_power(log: str) -> Power:
    """The table of a `report_power`. ValueError if there is none."""
    rows = {found[1]: [float(word) for word in found[2].split()] for found in _ROW.finditer(log)}
    if "Total" not in rows:
        raise ValueError("it shows no power")
    internal, switching, leakage, _ = rows["Total"]
    sequential = rows.get("Sequential", [0.0, 0.0, 0.0, 0.0])
    per_cycle = PERIOD * 1e-9 * 1e12
    return Power(internal * per_cycle, switching * per_cycle, leakage, (sequential[0] + sequential[1]) * per_cycle)
