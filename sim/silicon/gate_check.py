"""A unit's gates simulated one by one, with delays, by Icarus Verilog: do they compute what the RTL did, and how many
transitions do they make that a count of settled values does not see?

The netlist with its buffers and delays (OpenSTA writes them, SDF) gets the inputs, the memories' answers and, at the
beginning of a window, the registers of the trace; then it runs by itself. Debian: `apt-get install iverilog`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from spatten_hw.boards.flow.tools import run_tool
from spatten_hw.errors import UserError

from . import sta
from .buffers import buffered
from .gates import Activity
from .liberty import Cells
from .liberty_function import expression
from .mapped import ONE, Mapped
from .power import power
from .sta_netlist import inputs, verilog
from .wires import wire_pf

PROGRAM, PACKAGE = "iverilog", "iverilog"
#: Windows of a run that are simulated: those in which the unit does most.
WINDOWS = 3
#: Period of the simulated clock in ps: longer than any path, as `sta` finds it at 180 nm.
PERIOD_PS = 40_000
#: ps behind the clock's edge at which inputs change: they are other units' registers.
INPUT_PS = 200


@dataclass(frozen=True)
class GateCheck:
    """A unit under one run. `wrong`: bits of registers, over all cycles, that the simulated gates held otherwise than
    the trace; energies in pJ per cycle of the Liberty file's process: by transitions counted from settled values
    (`counted`), as simulated without delays (`settled`) and with them (`simulated`)."""

    unit: str
    run: str
    cells: int
    cycles: int
    wrong: int
    counted: float
    settled: float
    simulated: float

    @property
    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"difference": self.counted / self.simulated - 1}


def missing() -> str:
    """What a user should install, or nothing."""
    return "" if shutil.which(PROGRAM) else f"Icarus Verilog is missing; install with: apt-get install {PACKAGE}"


def check(unit: str, run: str, netlist: Mapped, cells: Cells, activity: Activity, windows: list[int]) -> GateCheck:
    """`activity`: of the netlist in all of `windows` (their cycles). Raises `UserError` if Icarus is missing."""
    if why := missing():
        raise UserError(why)
    wide, repeats = buffered(netlist, cells)
    source = np.arange(wide.nets)
    source[list(repeats)] = list(repeats.values())
    source[netlist.nets:] = np.where(source[netlist.nets:] < netlist.nets, source[netlist.nets:], 0)
    words = activity.words[source]
    delays = sta.delays(wide, cells)
    wire = wire_pf(netlist, cells)
    starts = np.cumsum([0, *windows])[:-1]
    toggles = {True: np.zeros(wide.nets), False: np.zeros(wide.nets)}
    counted = np.zeros(wide.nets)
    wrong = steps = 0
    for start, count in _liveliest(activity, starts.tolist(), windows):
        bits = _bits(words, start, count)
        for delayed in (False, True):
            moved, differ = _simulated(wide, cells, bits, delays if delayed else None)
            toggles[delayed] += moved
            wrong += differ if delayed else 0
        counted += (bits[:, 1:] != bits[:, :-1]).sum(axis=1)
        steps += count - 1
    energies = [power(wide, cells, moved / steps, wire).dynamic for moved in (counted, toggles[False], toggles[True])]
    return GateCheck(unit, run, sum(wide.cells.values()), steps, wrong, *energies)


def _liveliest(activity: Activity, starts: list[int], windows: list[int]) -> list[tuple[int, int]]:
    """The windows in which most nets move: a unit that waits shows little."""
    def moved(window: tuple[int, int]) -> int:
        bits = _bits(activity.words, *window)
        return int((bits[:, 1:] != bits[:, :-1]).sum())
    return sorted(zip(starts, windows, strict=True), key=moved, reverse=True)[:WINDOWS]


def _bits(words: np.ndarray, start: int, count: int) -> np.ndarray:
    every = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    return every[:, start:start + count]


def _simulated(netlist: Mapped, cells: Cells, bits: np.ndarray, delays: list[int] | None) -> tuple[np.ndarray, int]:
    """Transitions of each net from the second cycle's edge on, and bits of registers that differ from the trace."""
    with tempfile.TemporaryDirectory(prefix="gates-") as name:
        folder = Path(name)
        taken = inputs(netlist, cells)
        (folder / "unit.v").write_text("\n".join([*_models(netlist, cells), *_unit(netlist, cells, bits, delays)]))
        (folder / "bench.v").write_text(_bench(taken, bits.shape[1], 0 if delays is None else INPUT_PS))
        rows = ["".join("01"[b] for b in column) for column in bits[taken].T[:, ::-1]]
        (folder / "inputs.txt").write_text("\n".join(rows) + "\n")
        run_tool([PROGRAM, "-g2012", "-o", "gates.vvp", "bench.v", "unit.v"], folder, "iverilog.log")
        run_tool(["vvp", "-N", "gates.vvp"], folder, "vvp.log")
        return _read(folder / "gates.vcd", netlist, cells, bits)


def _models(netlist: Mapped, cells: Cells) -> Iterator[str]:
    yield "`timescale 1ps/1ps"
    for kind in netlist.groups:
        cell = cells.by_name[kind]
        ports = ", ".join([*(f"input {pin}" for pin in cell.inputs), *(f"output {pin}" for pin in cell.outputs)])
        yield f"module {kind} #(parameter PS = 0, parameter FIRST = 0) ({ports});"
        if cell.clock:
            yield f"  reg held = FIRST; wire next = {expression(cell.next_state, cell.inputs)};"
            yield f"  always @(posedge {cell.clock}) held <= #(PS) next;"
            yield from (f"  assign {pin} = held;" for pin in cell.outputs)
        else:
            yield from (f"  assign #(PS) {pin} = {expression(function, cell.inputs)};"
                        for pin, function in cell.outputs.items())
        yield "endmodule"


def _unit(netlist: Mapped, cells: Cells, bits: np.ndarray, delays: list[int] | None) -> Iterator[str]:
    number = -1
    for line in verilog(netlist, cells):
        found = re.match(r"  (\w+) u(\d+) \((.*)\);", line)
        if found is None or found[1] not in netlist.groups:
            yield line
            continue
        number += 1
        cell = cells.by_name[found[1]]
        held = 0
        if cell.clock:
            output = re.search(rf"\.{next(iter(cell.outputs))}\(n(\d+)\)", found[3])
            held = int(bits[int(output[1]), 0]) if output else 0
        yield f"  {found[1]} #(.PS({delays[number] if delays else 0}), .FIRST({held})) u{found[2]} ({found[3]});"


def _bench(taken: list[int], cycles: int, late: int) -> str:
    ports = "".join(f", .n{net}(now[{n}])" for n, net in enumerate(taken))
    wide = max(len(taken), 1)
    return f"""`timescale 1ps/1ps
module bench;
  reg clk = 0;
  reg [{wide - 1}:0] vectors [0:{cycles - 1}];
  reg [{wide - 1}:0] now;
  integer n;
  unit unit(.clk(clk){ports});
  initial begin
    $readmemb("inputs.txt", vectors);
    now = vectors[0];
    #{PERIOD_PS};
    $dumpfile("gates.vcd");
    $dumpvars(1, unit);
    for (n = 1; n < {cycles}; n = n + 1) begin
      clk = 1;
      now <= #{late} vectors[n];
      #{PERIOD_PS // 2} clk = 0;
      #{PERIOD_PS - PERIOD_PS // 2};
    end
    $finish;
  end
endmodule
"""


def _read(path: Path, netlist: Mapped, cells: Cells, bits: np.ndarray) -> tuple[np.ndarray, int]:
    moved = np.zeros(netlist.nets)
    registers = {int(net) for kind, pins in netlist.groups.items() if cells.by_name[kind].clock
                 for pin in cells.by_name[kind].outputs for net in pins.get(pin, ())}
    nets: dict[str, int] = {}
    value: dict[int, str] = {}
    wrong = cycle = 0
    begun = False
    with path.open() as file:
        for line in file:
            if line.startswith("$var"):
                words = line.split()
                if re.fullmatch(r"n\d+", words[4]):
                    nets.setdefault(words[3], int(words[4][1:]))
            elif line.startswith("#"):
                now = (int(line[1:]) - PERIOD_PS) // PERIOD_PS
                while cycle < now:
                    # The cycle that begins at an edge is over at the next one.
                    cycle += 1
                    wrong += sum(value.get(net) != "01"[bits[net, cycle]] for net in registers) if (
                        cycle < bits.shape[1]) else 0
                begun = int(line[1:]) > PERIOD_PS or begun
            elif line[0] in "01xz" and (net := nets.get(line[1:].strip())) is not None and net > ONE:
                if value.get(net) is not None and begun:
                    moved[net] += value[net] != line[0]
                value[net] = line[0]
    return moved, wrong
