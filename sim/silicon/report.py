"""What `bench silicon` tells: tables for a terminal, and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.bench.table import table

from . import figures
from .chip import UnitSilicon
from .events import EventEnergy
from .figures import PAPER_SHARES, PowerSplit, UnitArea
from .gate_check import GateCheck
from .nodes import Factors

#: Units told together, beside the paper's figure: it has one top-k engine, ours are the local one and the cascade's.
TOPK = ("local_topk", "pruner")


@dataclass
class ChipReport:
    """All figures of a configuration. `off`: A/µm of a transistor that is off; `lef`: mm² of the logic by a LEF file's
    cells, or None; `shown`: the Liberty file; `like`: the preset whose counts power is projected from;
    `whole`: all units are there, so that figures may stand beside the paper's."""

    config: SpAttenConfig
    shown: str
    factors: Factors
    off: float
    units: list[UnitSilicon]
    areas: list[UnitArea]
    powers: list[PowerSplit] = field(default_factory=list)
    efficiencies: list[figures.Efficiency] = field(default_factory=list)
    checks: list[GateCheck] = field(default_factory=list)
    runs: dict[str, dict[str, object]] = field(default_factory=dict)
    events: EventEnergy | None = None
    lef: float | None = None
    like: str | None = None
    whole: bool = True

    @property
    def mm2(self) -> float:
        return sum(area.total for area in self.areas)

    @property
    def logic_mm2(self) -> float:
        return sum(area.logic for area in self.areas)

    @property
    def slowest(self) -> UnitSilicon | None:
        timed = [unit for unit in self.units if unit.slowest is not None]
        return max(timed, key=lambda unit: unit.slowest.ns, default=None)  # type: ignore[union-attr]

    @property
    def gops_mm2(self) -> float:
        return figures.dense_gops(self.config) / self.mm2

    @property
    def as_json(self) -> dict[str, object]:
        worst = self.slowest
        return {
            "preset": self.config.name, "config_hash": f"{self.config.hash:08x}", "liberty": self.shown,
            "power_projected_from": self.like, "factors": self.factors.as_json, "off_current_a_per_um": self.off,
            "units": [self._unit(unit, area) for unit, area in zip(self.units, self.areas, strict=True)],
            "mm2": self.mm2, "logic_mm2": self.logic_mm2, "sram_mm2": self.mm2 - self.logic_mm2,
            "lef_logic_mm2": self.lef, "dense_gops_per_mm2": self.gops_mm2,
            "ghz": None if worst is None else self.ghz, "runs": self.runs,
            "power_w": [asdict(power) | {"total": power.total} for power in self.powers],
            "efficiency": [asdict(e) | {"tops_per_watt": e.tops_per_watt, "chip_tops_per_watt": e.chip_tops_per_watt,
                                        "logic_tops_per_watt": e.logic_tops_per_watt} for e in self.efficiencies],
            "gate_checks": [check.as_json for check in self.checks],
            "events": None if self.events is None else asdict(self.events),
        }

    def _unit(self, unit: UnitSilicon, area: UnitArea) -> dict[str, object]:
        return {
            "unit": unit.unit, "gates": round(unit.gates), "flip_flops": unit.flip_flops,
            "buffers_share": unit.buffer_area / unit.area if unit.area else 0, "logic_mm2": area.logic,
            "sram_bits": unit.sram_bits, "sram_mm2": area.sram, "share": 100 * area.total / self.mm2,
            "paper_share": PAPER_SHARES.get(unit.unit),
            "memories": [{"words": s.words, "width": s.width, "reads": s.reads, "writes": s.writes, "count": n}
                         for s, n in sorted(unit.memories.items())],
            "timing": None if unit.slowest is None else unit.slowest.as_json,
            "energy": {run: asdict(energy) for run, energy in unit.energy.items()},
        }

    @property
    def ghz(self) -> float:
        """What the slowest path allows at the node."""
        worst = self.slowest
        assert worst is not None and worst.slowest is not None
        return 1 / (worst.slowest.ns * self.factors.delay)

    def text(self) -> str:
        """Tables for a terminal."""
        f = self.factors
        blocks = [f"'{self.config.name}' ({self.config.hash:08x}), {self.shown}, figures at {f.nm:g} nm and "
                  f"{f.volts:g} V", self._areas()]
        if any(unit.slowest for unit in self.units):
            blocks.append(self._timing())
        if self.powers:
            blocks += [self._powers(), *([self._efficiencies()] if self.whole else []), self._moves()]
        if self.checks:
            blocks.append(table([["gates, with delays", "run", "cells", "cycles", "wrong flip-flops",
                                  "pJ, counted", "pJ, simulated", "difference", "with glitches"], *(
                [c.unit, c.run, f"{c.cells:,}", f"{c.cycles}", f"{c.wrong}", f"{c.counted:.1f}", f"{c.simulated:.1f}",
                 f"{100 * (c.counted / c.simulated - 1):+.1f} %", f"{c.simulated / c.settled:.2f}×"]
                for c in self.checks)]))
        return "\n\n".join(blocks)

    def _areas(self) -> str:
        rows = [["area", "gates", "logic mm²", "SRAM bits", "SRAM mm²", "mm²", "share %", "Figure 13 %"]]
        for a in self.areas:
            paper = PAPER_SHARES.get(a.unit)
            rows.append([a.unit, f"{a.gates:,.0f}", f"{a.logic:.3f}", f"{a.sram_bits:,}", f"{a.sram:.3f}",
                         f"{a.total:.3f}", f"{100 * a.total / self.mm2:.1f}", "-" if paper is None else f"{paper:.1f}"])
        rows.append(["whole", f"{sum(a.gates for a in self.areas):,.0f}", f"{self.logic_mm2:.3f}",
                     f"{sum(a.sram_bits for a in self.areas):,}", f"{self.mm2 - self.logic_mm2:.3f}", f"{self.mm2:.2f}",
                     "100.0", f"{figures.PAPER_MM2} mm²" if self.config.name != "eighth" else
                     f"{figures.PAPER_EIGHTH_MM2} mm²"])
        if not self.whole:
            return table(rows[:-1])
        f = self.factors
        other = sum(a.gates for a in self.areas) * figures.NAND2_45 * (f.nm / 45) ** 2 / 1e6
        more = "" if self.lef is None else f"; by the LEF file's cells {self.lef:.2f} mm²"
        return (f"{table(rows)}\n"
                f"dense peak at 1 GHz: {figures.dense_gops(self.config):.0f} GOPS, {self.gops_mm2:.0f} GOPS/mm² "
                f"(paper {figures.PAPER_GOPS_MM2:.0f})\n"
                f"logic by plain scaling {self.logic_mm2 * f.ideal_area / f.area:.2f} mm², by gates of a 45 nm library "
                f"{other:.2f} mm²{more}")

    def _timing(self) -> str:
        rows = [["timing", "ns, Liberty", f"ns, {self.factors.nm:g} nm", "GHz", "cells", "from → to"]]
        for unit in self.units:
            if (t := unit.slowest) is not None:
                ns = t.ns * self.factors.delay
                rows.append([unit.unit, f"{t.ns:.2f}", f"{ns:.2f}", f"{1 / ns:.2f}", str(len(t.stages)),
                             f"{t.start} → {t.end}"])
        return table(rows)

    def _powers(self) -> str:
        title = "W at 1 GHz" + (f", projected from '{self.like}'" if self.like else "")
        rows = [[title, "logic", "of it clock pins", "logic leakage", "SRAM", "SRAM leakage", "DRAM", "total"]]
        for p in self.powers:
            rows.append([p.run, f"{p.logic:.3f}", f"{p.clock:.3f}", f"{p.logic_leakage:.3f}", f"{p.sram:.3f}",
                         f"{p.sram_leakage:.3f}", f"{p.dram:.3f}", f"{p.total:.2f}"])
        if not self.whole:
            return table(rows)
        w = figures.PAPER_W
        rows.append(["paper", f"{w['logic']:.2f}", "", "", f"{w['SRAM']:.2f}", "", f"{w['DRAM']:.2f}",
                     f"{figures.PAPER_TOTAL_W:.2f}"])
        worst = max(p.logic for p in self.powers) * self.factors.ideal_energy / self.factors.energy
        return f"{table(rows)}\nlogic by plain scaling: up to {worst:.2f} W"

    def _efficiencies(self) -> str:
        rows = [["useful operations", "GOPS", "GOPS/mm²", "pJ, all in", "pJ, chip", "pJ, logic", "TOPS/W, all in",
                 "TOPS/W, chip", "TOPS/W, logic"]]
        for e in self.efficiencies:
            rows.append([e.run, f"{e.gops:.0f}", f"{e.gops / self.mm2:.1f}", f"{e.pj:.2f}", f"{e.chip_pj:.2f}",
                         f"{e.logic_pj:.2f}", f"{e.tops_per_watt:.2f}", f"{e.chip_tops_per_watt:.2f}",
                         f"{e.logic_tops_per_watt:.2f}"])
        return table(rows)

    def _moves(self) -> str:
        names = [p.run for p in self.powers]
        rows = [["mW at 1 GHz", *(f"{name}, {what}" for name in names for what in ("logic", "SRAM"))]]
        for unit in self.units:
            rows.append([unit.unit, *(f"{value:.1f}" for name in names for value in (
                unit.energy[name].logic * self.factors.energy, unit.energy[name].sram))])
        if self.like:
            return table(rows)
        wrong = sum(e.wrong for unit in self.units for e in unit.energy.values())
        cycles = sum(e.wrong_cycles for unit in self.units for e in unit.energy.values())
        return (f"{table(rows)}\nflip-flops that the gates would load otherwise than the trace shows: {wrong}"
                + (f", in {cycles} cycles of theirs" if wrong else ""))

