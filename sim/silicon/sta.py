"""OpenSTA on a unit's mapped netlist: the slowest path in the design's names. Debian has it: `apt-get install opensta`.

The netlist is given to it with nets and cells by number, and its report read back into the design's names. Memories are
cut out: what they give comes in late by their access time, what they take is an output.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from spatten_hw.boards.flow.tools import run_tool
from spatten_hw.errors import UserError

from .buffers import FAN_OUT
from .liberty import Cells
from .mapped import Mapped
from .sta_netlist import CLOCK, driven, used, verilog
from .sta_report import Timing, read_path, read_sdf
from .wires import DENSITY, RENT, WIRE_PF, wire_load

PACKAGE = "opensta"
#: Names of the program: Debian's package installs `sta`.
PROGRAMS = ("sta", "opensta")
#: Period of the clock in ns that paths are held against.
PERIOD = 10.0



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


def _script(netlist: Mapped, cells: Cells, arrival: Mapping[int, float]) -> Iterator[str]:
    yield f"read_liberty {{{cells.path}}}"
    yield "read_liberty wires.lib"
    yield "read_verilog unit.v"
    yield "link_design unit"
    yield "set_wire_load_mode top"
    yield "set_wire_load_model -name wires -library wires"
    yield f"create_clock -name {CLOCK} -period {PERIOD} [get_ports {CLOCK}]"
    read, own = used(netlist, cells), driven(netlist, cells)
    for net, ns in arrival.items():
        if net in read and net not in own:
            yield f"set_input_delay {ns:.4f} -clock {CLOCK} [get_ports n{net}]"
    # What leaves is held against the clock's end, too: in the next unit, or in a memory.
    yield f"set_output_delay 0 -clock {CLOCK} [all_outputs]"
    yield "report_checks -path_delay max -format full -fields {net} -digits 4"
