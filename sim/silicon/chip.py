"""The whole accelerator as a chip: every unit's netlist, memories, timing, and power under each run."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from spatten_hw.boards.flow.area import GLUE, Measured
from spatten_hw.boards.flow.standard_cells import Liberty
from spatten_hw.boards.flow.synthesis import synthesise
from spatten_hw.boards.flow.tools import yosys_command
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.generate import TOP
from spatten_hw.hierarchy import modules
from spatten_hw.sim.harness.kept import build_dir
from spatten_hw.sim.status import Status

from . import sta
from .buffers import buffer_cell
from .cacti import Cacti
from .gates import Activity, Cycles, activity
from .liberty import Cells
from .mapped import Mapped, read_mapped
from .memories import Shape
from .observed import instances, module_of, observed
from .once import once
from .runs import Run
from .sta_report import Timing
from .units import Block, Energy, block, energy, netlist_key, slowest

#: Instances of a repeated block whose activity is looked at; the others are taken for like them.
MOST_INSTANCES = 4


@dataclass(frozen=True)
class Piece:
    """A module that is synthesised by itself, `times` of it in its unit."""

    module: str
    times: int
    netlist: Path


@dataclass
class UnitSilicon:
    """A unit, all its pieces added up. Areas in the Liberty file's unit, SRAM in µm² of CACTI's node; `pins`: pF of
    all input pins; `clock`: pJ per cycle of clock pins; `sram_leakage`: W; `energy`: run → energy per cycle;
    `slowest`: of its pieces."""

    unit: str
    area: float = 0
    buffer_area: float = 0
    flip_flops: int = 0
    pins: float = 0
    clock: float = 0
    gates: float = 0
    memories: dict[Shape, int] = field(default_factory=dict)
    sram_area: float = 0
    sram_leakage: float = 0
    energy: dict[str, Energy] = field(default_factory=dict)
    slowest: Timing | None = None

    @property
    def sram_bits(self) -> int:
        return sum(shape.bits * n for shape, n in self.memories.items())


class Chip:
    """A configuration on standard cells. `macros`: CACTI at the node that figures are for, and `delay`: ns there per
    ns in the Liberty file's process, since CACTI knows none above 90 nm."""

    def __init__(self, config: SpAttenConfig, liberty: Path, macros: Cacti, delay: float, status: Status,
                 jobs: int = 1):
        yosys_command()
        self.config, self.status = config, status
        self.cells, self.liberty = Cells(liberty), Liberty(liberty)
        buffer_cell(self.cells)
        if not any(cell.clock for cell in self.cells.by_name.values()):
            raise UserError(f"--liberty {liberty}: has no flip-flop")
        self.macros, self.delay = macros, delay
        self.measured = Measured(config, build_dir() / "synthesis", status.show, jobs)
        self.verilog = self.measured.design.text(self.measured.design.modules)
        self.hierarchy = modules(self.verilog)

    @property
    def units(self) -> list[str]:
        """Units, and what joins them."""
        return [*self.measured.units, GLUE]

    def pieces(self, unit: str) -> list[Piece]:
        """The modules that a unit consists of, synthesised if need be."""
        found = []
        for module, times in self.measured.modules(unit).items():
            self.status.show(f"{self.config.name}, {unit}: synthesis of {module}")
            made = synthesise(self.measured.design, module, self.liberty.family, self.measured.cache,
                              self.measured.boxes)
            self.cells.check(made.cells)
            found.append(Piece(module, times, made.netlist))
        return found

    def unit(self, unit: str, runs: Sequence[Run] = (), timing: bool = True) -> UnitSilicon:
        """Everything of a unit. Power needs `runs`, whose traces must still be there."""
        found = UnitSilicon(unit)
        for piece in self.pieces(unit):
            self._add(found, piece, runs, timing)
        found.gates = found.area / self.liberty.gate
        for shape, count in found.memories.items():
            macro = self.macros.macro(shape)
            found.sram_area += count * macro.area
            found.sram_leakage += count * macro.leakage
        return found

    def _add(self, found: UnitSilicon, piece: Piece, runs: Sequence[Run], timing: bool) -> None:
        self.status.show(f"{self.config.name}, {found.unit}: {piece.module}")
        # Read only if something is not known yet.
        netlist = functools.cache(lambda: self.netlist(piece))
        key = netlist_key(piece.netlist, self.cells)
        sizes = Block.of_json(once(f"block-{_digest(key + sta.digest())}",
                                   lambda: block(netlist(), self.cells).as_json))
        found.area += piece.times * sizes.area
        found.buffer_area += piece.times * sizes.buffer_area
        found.flip_flops += piece.times * sizes.flip_flops
        found.pins += piece.times * sizes.pins
        found.clock += piece.times * sizes.clock
        for shape, count in sizes.memories.items():
            found.memories[shape] = found.memories.get(shape, 0) + piece.times * count
        if timing:
            self.status.show(f"{self.config.name}, {found.unit}: timing of {piece.module}")
            access = {shape: self.macros.macro(shape).access / self.delay for shape in sizes.memories}
            path = slowest(netlist, self.cells, access, key) if sizes.area else None
            if path is not None and (found.slowest is None or path.ns > found.slowest.ns):
                own = piece.module in (self.measured.units.get(found.unit), TOP)
                part = "" if own else f"{piece.module.removeprefix(f'{TOP}_')}: "
                found.slowest = replace(path, start=part + path.start)
        for run in runs:
            self.status.show(f"{self.config.name}, {found.unit}: power of {piece.module}, {run.case.name}")
            kept = once(f"energy-{run.key}-{_digest(key + self.macros.key + sta.digest())}",
                        functools.partial(self._energy, netlist, run))
            found.energy[run.case.name] = _sum(found.energy.get(run.case.name), Energy(**kept), piece.times)

    def _energy(self, netlist: Callable[[], Mapped], run: Run) -> dict[str, float]:
        return asdict(energy(netlist(), self.cells, self.activities(netlist(), run), self.macros))

    def netlist(self, piece: Piece) -> Mapped:
        """Of a piece, as arrays."""
        return read_mapped(piece.netlist, self.cells, lambda module: {
            port.name for port in self.measured.design.ports(module) if port.direction == "output"})

    def cell_counts(self, unit: str) -> list[tuple[int, dict[str, int]]]:
        """(times, cell type → number) of each piece of a unit, without buffers and memories."""
        return [(piece.times, self.netlist(piece).cells) for piece in self.pieces(unit)]

    def activities(self, netlist: Mapped, run: Run) -> list[Activity]:
        """What the nets of each of the first instances of a module did in a run."""
        texts = functools.cache(lambda path: self.measured.design.modules[module_of(self.hierarchy, TOP, path)])
        cycles = Cycles.of([end - first for first, end in run.windows])
        found = []
        for path in instances(self.hierarchy, TOP, netlist.module)[:MOST_INSTANCES]:
            known = observed(netlist, run.trace(), path, run.windows, texts)
            found.append(activity(netlist, self.cells, known, cycles))
        return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sum(so_far: Energy | None, one: Energy, times: int) -> Energy:
    old = vars(so_far) if so_far is not None else dict.fromkeys(vars(one), 0)
    added = {name: old[name] + (times if name not in ("wrong", "wrong_cycles", "toggles") else 1) * value
             for name, value in vars(one).items()}
    added["toggles"] = one.toggles if so_far is None else max(so_far.toggles, one.toggles)
    return Energy(**added)
