"""What the figures of a chip's units say at the node that they are for: areas, power, energy per operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spatten_hw.config import SpAttenConfig
from spatten_hw.units import UNITS

from .chip import UnitSilicon
from .nodes import Factors
from .runs import Run

#: SpAtten (HPCA 2021), 40 nm at 1 GHz: Figure 13, Table III, section V; its SRAM and DRAM by CACTI and by HBM2's
#: pJ/bit.
PAPER_MM2, PAPER_GHZ, PAPER_GOPS_MM2 = 18.71, 1.0, 109.0
PAPER_W = {"logic": 1.36, "SRAM": 1.24, "DRAM": 5.71}
PAPER_TOTAL_W = 8.30
PAPER_EIGHTH_MM2 = 1.55
#: Unit → % of the paper's area.
PAPER_SHARES = {unit.name: unit.share for unit in UNITS if unit.share is not None}
#: µm of transistor width per pF of input pins: osu018's INVX1 has 3 µm and 9.32 fF.
WIDTH_PER_PF = 3.0 / 9.32e-3
#: A gate equivalent (NAND2) of 45 nm as published of the Nangate open library, in µm²: another way from gates to area.
NAND2_45 = 0.798


@dataclass(frozen=True)
class UnitArea:
    """mm² at the node."""

    unit: str
    gates: float
    logic: float
    sram_bits: int
    sram: float

    @property
    def total(self) -> float:
        return self.logic + self.sram


@dataclass(frozen=True)
class PowerSplit:
    """W of a run at a clock; `clock`: the part of `logic` that clock pins take. Leakage apart from what moves."""

    run: str
    logic: float
    clock: float
    logic_leakage: float
    sram: float
    sram_leakage: float
    dram: float
    dram_standing: float

    @property
    def total(self) -> float:
        return self.logic + self.logic_leakage + self.sram + self.sram_leakage + self.dram

    @property
    def groups(self) -> dict[str, float]:
        """As the paper's Table III has it."""
        return {"logic": self.logic + self.logic_leakage, "SRAM": self.sram + self.sram_leakage, "DRAM": self.dram}


def areas(units: Sequence[UnitSilicon], factors: Factors) -> list[UnitArea]:
    """Of each unit; logic with its buffers."""
    return [UnitArea(u.unit, u.gates, (u.area + u.buffer_area) * factors.area / 1e6, u.sram_bits, u.sram_area / 1e6)
            for u in units]


def leakage(unit: UnitSilicon, off: float, factors: Factors) -> float:
    """W of a unit's logic: half of its transistors off, `off` A per µm of their width, which shrinks with the node."""
    return unit.pins * WIDTH_PER_PF * factors.nm / 180 / 2 * off * factors.volts


def split(units: Sequence[UnitSilicon], run: Run, factors: Factors, off: float, ghz: float = PAPER_GHZ) -> PowerSplit:
    """Power of a run at `ghz`."""
    watt = ghz * 1e-3                                # per pJ of a cycle
    of = [unit.energy[run.case.name] for unit in units]
    seconds = run.cycles / (ghz * 1e9)
    standing = sum(run.dram_nj[cause] for cause in ("refresh", "background"))
    return PowerSplit(
        run.case.name, sum(e.logic for e in of) * factors.energy * watt,
        sum(e.clock for e in of) * factors.energy * watt,
        sum(leakage(u, off, factors) for u in units), sum(e.sram for e in of) * watt,
        sum(u.sram_leakage for u in units), run.dram_nj["total"] * 1e-9 / seconds, standing * 1e-9 / seconds)


def dense_gops(config: SpAttenConfig, ghz: float = PAPER_GHZ) -> float:
    """Multiplications and additions of both arrays when all multipliers work, in 10⁹ per second."""
    return 4 * config.multipliers * ghz


@dataclass(frozen=True)
class Efficiency:
    """Of a run: useful operations are multiplications and additions that its result needs. pJ per one, all in, without
    DRAM (`chip`), and of logic alone; `gops`: useful ones per second in 10⁹."""

    run: str
    gops: float
    pj: float
    chip_pj: float
    logic_pj: float

    @property
    def tops_per_watt(self) -> float:
        return 1 / self.pj

    @property
    def chip_tops_per_watt(self) -> float:
        return 1 / self.chip_pj

    @property
    def logic_tops_per_watt(self) -> float:
        return 1 / self.logic_pj


def efficiency(run: Run, power: PowerSplit, ghz: float = PAPER_GHZ) -> Efficiency:
    """Operations per second, and energy of each."""
    gops = 2 * sum(run.macs) / run.cycles * ghz
    each = 1000 / gops                              # pJ per W
    chip = power.total - power.dram
    return Efficiency(run.case.name, gops, power.total * each, chip * each, power.groups["logic"] * each)
