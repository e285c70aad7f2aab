"""Everything of a configuration as a chip, one after the other; what is slow is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.status import Status

from . import figures, nodes
from .cacti import Cacti
from .chip import Chip, UnitSilicon
from .events import EventEnergy, events
from .gate_check import GateCheck, check
from .leakage import off_current
from .lef import Lef
from .projected import project
from .report import ChipReport
from .runs import Run, Runs, cases


def measure(config: SpAttenConfig, liberty: Path, cacti: Path | None, status: Status, *,
            units: Sequence[str] | None = None, lef: Path | None = None, running: bool = True,
            checked: Sequence[str] = (), like: SpAttenConfig | None = None, jobs: int = 1) -> ChipReport:
    """`units`: these alone, None: all. `lef`: a LEF file of 45 nm. `running`: timing, and power under a prompt and a
    step of generation. `checked`: units whose gates are simulated. `like`: power by the counts of this configuration
    (`projected.py`). Raises `UserError` for what is missing."""
    factors = nodes.factors()
    cells_45 = None if lef is None else Lef(lef)
    macros = Cacti(factors.nm, cacti)
    off = off_current(macros.program, factors.nm)
    chip = Chip(config, liberty, macros, factors.delay, status, jobs)
    with Runs(config, chip.verilog, status) as every:
        ran = every.run if like is None else every.facts
        runs = [ran(case) for case in cases(config)] if running else []
        found = [chip.unit(unit, runs if like is None else (), running) for unit in units or chip.units]
        if like is not None:
            _project(found, runs, config, like, liberty, macros, factors.delay, status, jobs)
        checks = [_checked(chip, unit, run, status) for unit in checked for run in runs]
    report = ChipReport(config, liberty.name, factors, off, found, figures.areas(found, factors), checks=checks,
                        like=None if like is None else like.name, whole=units is None)
    for run in runs:
        power = figures.split(found, run, factors, off)
        report.powers.append(power)
        report.efficiencies.append(figures.efficiency(run, power))
        report.runs[run.case.name] = {
            "shape": run.case.shape, "cycles": run.cycles, "macs": list(run.macs), "bytes": run.bytes,
            "watched_cycles": sum(end - first for first, end in run.windows), "dram_nj": run.dram_nj}
    if runs and units is None:
        report.events = _events(config, found, runs, macros, factors, off)
    if cells_45 is not None:
        report.lef = sum(times * cells_45.area(piece_cells) for unit in units or chip.units
                         for times, piece_cells in chip.cell_counts(unit)) / 1e6
    return report


def _project(units: Sequence[UnitSilicon], runs: Sequence[Run], config: SpAttenConfig, like: SpAttenConfig,
             liberty: Path, macros: Cacti, delay: float, status: Status, jobs: int) -> None:
    other = Chip(like, liberty, macros, delay, status, jobs)
    with Runs(like, other.verilog, status) as every:
        watched = [every.run(case) for case in cases(like)]
        others = [other.unit(unit.unit, watched, timing=False) for unit in units]
    for run, other_run in zip(runs, watched, strict=True):
        project(units, run, config, others, other_run, like, macros)


def _checked(chip: Chip, unit: str, run: Run, status: Status) -> GateCheck:
    """The unit's first piece."""
    piece = chip.pieces(unit)[0]
    status.show(f"{chip.config.name}, {unit}: simulating the gates of {piece.module}, {run.case.name}")
    netlist = chip.netlist(piece)
    return check(unit, run.case.name, netlist, chip.cells, chip.activities(netlist, run)[0],
                 [end - first for first, end in run.windows])


def _events(config: SpAttenConfig, units: Sequence[UnitSilicon], runs: Sequence[Run], macros: Cacti,
            factors: nodes.Factors, off: float) -> EventEnergy:
    largest = {}
    for unit in units:
        if unit.memories:
            shape = max(unit.memories, key=lambda s: s.bits)
            macro = macros.macro(shape)
            largest[unit.unit] = macro.read, macro.write, shape.width
    return events(config.name, units, runs, largest, factors, off, config.beat_bytes)
