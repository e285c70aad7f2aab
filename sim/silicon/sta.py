"""OpenSTA on a unit's mapped netlist: the slowest path in the design's names. Debian has it: `apt-get install opensta`.

The netlist is given to it with nets and cells by number, and its report read back into the design's names. Memories are
cut out: what they give comes in late by their access time, what they take is an output.
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.boards.flow.tools import run_tool
from spatten_hw.errors import UserError

from .buffers import FAN_OUT
from .liberty import Cells
from .mapped import ONE, Mapped

PACKAGE = "opensta"
#: Names of the program: Debian's package installs `sta`.
PROGRAMS = ("sta", "opensta")
#: Period of the clock in ns that paths are held against.
PERIOD = 10.0
CLOCK = "clk"
#: Wires, which no placement has measured: pF per µm (0.2 fF, what minimum-pitch metal of any of these processes has; R.
#: Ho, K. Mai, M. Horowitz, "The future of wires", Proc. IEEE 89, 2001), Rent's exponent of logic, share of the die's
#: rows that is cells.
WIRE_PF, RENT, DENSITY = 0.0002, 0.6, 0.7


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


def program() -> str:
    """OpenSTA. Raises `UserError` if it is missing."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise UserError(f"OpenSTA is missing; install with: apt-get install {PACKAGE}")


def digest() -> str:
    """Of all that decides what an analysis gives beside its netlist."""
    text = f"{WIRE_PF} {RENT} {DENSITY} {PERIOD} {FAN_OUT}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def analyse(netlist: Mapped, cells: Cells, arrival: Mapping[int, float] | None = None) -> Timing:
    """The slowest path. `arrival`: net → ns after the clock's edge at which a memory or a box gives it."""
    with tempfile.TemporaryDirectory(prefix="sta-") as name:
        folder = Path(name)
        (folder / "unit.v").write_text("\n".join(verilog(netlist, cells)))
        (folder / "wires.lib").write_text(wire_load(netlist, cells))
        (folder / "run.tcl").write_text("\n".join(_script(netlist, cells, arrival or {})))
        run_tool([program(), "-no_splash", "-exit", "run.tcl"], folder, "opensta.log")
        log = (folder / "opensta.log").read_text()
    try:
        return read_path(log, netlist)
    except (ValueError, IndexError) as error:
        raise UserError(f"OpenSTA's report of {netlist.module} cannot be read: {error}") from error


def delays(netlist: Mapped, cells: Cells) -> list[int]:
    """ps of each cell, in the order of `verilog`: the longest of its paths."""
    with tempfile.TemporaryDirectory(prefix="sta-") as name:
        folder = Path(name)
        (folder / "unit.v").write_text("\n".join(verilog(netlist, cells)))
        (folder / "wires.lib").write_text(wire_load(netlist, cells))
        commands = [line for line in _script(netlist, cells, {}) if not line.startswith("report")]
        (folder / "run.tcl").write_text("\n".join([*commands, "write_sdf -digits 4 unit.sdf"]))
        run_tool([program(), "-no_splash", "-exit", "run.tcl"], folder, "opensta.log")
        return read_sdf((folder / "unit.sdf").read_text(), sum(netlist.cells.values()))


def read_sdf(text: str, count: int) -> list[int]:
    """ps of cells u0 … out of an SDF file (IEEE 1497) in ns: the longest IOPATH of each, 0 where there is none."""
    found = [0] * count
    for cell in text.split("(CELL")[1:]:
        name = re.search(r"\(INSTANCE u(\d+)\)", cell)
        numbers = [float(n) for path in re.findall(r"\(IOPATH .*", cell) for n in re.findall(r"\d+\.\d+", path)]
        if name is not None and numbers:
            found[int(name[1])] = round(max(numbers) * 1000)
    return found


def inputs(netlist: Mapped, cells: Cells) -> list[int]:
    """Nets that come from outside, in the order of `verilog`'s ports."""
    return sorted(_used(netlist, cells) - _driven(netlist, cells) - {0, ONE})


def verilog(netlist: Mapped, cells: Cells) -> Iterator[str]:
    """The netlist for OpenSTA: nets n2, n3 …, cells u0, u1 … in the order of `instances`."""
    driven = _driven(netlist, cells)
    taken = inputs(netlist, cells)
    outputs = sorted(_taken(netlist) & driven)
    ports = [CLOCK, *(f"n{n}" for n in taken), *(f"o{n}" for n in outputs)]
    yield f"module unit ({', '.join(ports)});"
    yield from (f"  input {port};" for port in ports[:1 + len(taken)])
    yield from (f"  output o{n};" for n in outputs)
    yield from (f"  wire n{n};" for n in sorted(driven))
    yield from (f"  assign o{n} = n{n};" for n in outputs)
    for number, (kind, pins) in enumerate(_instances(netlist)):
        clock = cells.by_name[kind].clock
        connected = ", ".join(f".{pin}({CLOCK if pin == clock else _wire(net)})" for pin, net in pins.items()
                              if net >= 0)
        yield f"  {kind} u{number} ({connected});"
    yield "endmodule"


def wire_length(gates: int) -> float:
    """Mean length of a wire from a gate to one of its readers, in gates placed on a square, by W. Donath, "Placement
    and average interconnection lengths of computer logic", IEEE TCAS 26 (1979) 272–277."""
    if gates < 4:
        return 1.0
    p, n = RENT, float(gates)
    grown = 7 * (n ** (p - 0.5) - 1) / (4 ** (p - 0.5) - 1) - (1 - n ** (p - 1.5)) / (1 - 4 ** (p - 1.5))
    return max(1.0, 2 / 9 * grown * (1 - 4 ** (p - 1)) / (1 - n ** (p - 1)))


def wire_pf(netlist: Mapped, cells: Cells) -> float:
    """Capacitance of the wires of a net, per reader, in pF."""
    count = sum(netlist.cells.values())
    area = sum(n * cells.by_name[kind].area for kind, n in netlist.cells.items())
    return wire_length(count) * math.sqrt(area / max(count, 1) / DENSITY) * WIRE_PF


def wire_load(netlist: Mapped, cells: Cells) -> str:
    """A Liberty file of wires alone: their capacitance by number of readers."""
    each = wire_pf(netlist, cells)
    return f"""library(wires) {{
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1,pf);
  wire_load("wires") {{ resistance : 0; capacitance : {each:.6f}; area : 0; slope : 1; fanout_length(1, 1); }}
}}
"""


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


def _script(netlist: Mapped, cells: Cells, arrival: Mapping[int, float]) -> Iterator[str]:
    yield f"read_liberty {{{cells.path}}}"
    yield "read_liberty wires.lib"
    yield "read_verilog unit.v"
    yield "link_design unit"
    yield "set_wire_load_mode top"
    yield "set_wire_load_model -name wires -library wires"
    yield f"create_clock -name {CLOCK} -period {PERIOD} [get_ports {CLOCK}]"
    used, driven = _used(netlist, cells), _driven(netlist, cells)
    for net, ns in arrival.items():
        if net in used and net not in driven:
            yield f"set_input_delay {ns:.4f} -clock {CLOCK} [get_ports n{net}]"
    # What leaves is held against the clock's end, too: in the next unit, or in a memory.
    yield f"set_output_delay 0 -clock {CLOCK} [all_outputs]"
    yield "report_checks -path_delay max -format full -fields {net} -digits 4"


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
