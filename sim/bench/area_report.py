"""What `bench area` tells: tables for a terminal, JSON, and the series of its history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from spatten_hw.boards.flow.area import WHOLE, Area
from spatten_hw.boards.flow.place import Placement
from spatten_hw.config import SpAttenConfig
from spatten_hw.units import UNITS

from .area_history import LARGER, SMALLER
from .table import table

#: Name of the target "standard cells" in series and JSON.
CELLS = "cells"
#: Unit → % of the area of SpAtten's chip (paper, Figure 13, 40 nm). Ours has two top-k engines: the local one and,
#: in the pruner, the shared one of the cascade; the figure has one for both.
FIGURE_13 = {unit.name: unit.share for unit in UNITS if unit.share is not None}
#: Units that are told together in standard cells, too: the two arrays with their sums, and what is in front of them.
GROUPS = {"arrays: score, prob_value": ("score", "prob_value"), "AXI to arrays: fetcher": ("fetcher",),
          "top-k: local_topk, pruner": ("local_topk", "pruner")}
#: Quantity of a series → which way is better.
DIRECTIONS = {"luts": SMALLER, "flip_flops": SMALLER, "dsps": SMALLER, "brams": SMALLER, "gates": SMALLER,
              "sram_bits": SMALLER, "mhz": LARGER}


@dataclass
class PresetReport:
    """What was measured of one configuration. `areas`: target → unit → area; `clocks`: unit → placements, or the
    reason why there is none."""

    config: SpAttenConfig
    areas: dict[str, dict[str, Area]] = field(default_factory=dict)
    clocks: dict[str, list[Placement] | str] = field(default_factory=dict)

    @property
    def as_json(self) -> dict[str, object]:
        return {
            "preset": self.config.name, "config_hash": f"{self.config.hash:08x}", "config": self.config.fields,
            "areas": {target: [area.as_json for area in units.values()] for target, units in self.areas.items()},
            "clocks": {unit: {"reason": c} if isinstance(c, str) else [p.as_json for p in c]
                       for unit, c in self.clocks.items()},
            "shares": self.shares() if CELLS in self.areas else None,
            "groups": self.groups() if CELLS in self.areas else None,
        }

    def shares(self) -> dict[str, dict[str, float | None]]:
        """Unit → its % of the gates measured, and the paper's."""
        gates = {unit: area.gates for unit, area in self.areas[CELLS].items() if unit != WHOLE}
        total = sum(gates.values()) or 1
        return {unit: {"share": round(100 * count / total, 1), "paper": FIGURE_13.get(unit)}
                for unit, count in gates.items()}

    def groups(self) -> dict[str, dict[str, float | None]]:
        """The same for `GROUPS` whose units were all measured."""
        shares = self.shares()
        return {group: {key: round(sum(shares[unit][key] or 0 for unit in units), 1) for key in ("share", "paper")}
                for group, units in GROUPS.items() if set(units) <= set(shares)}

    def series(self) -> dict[str, float]:
        """Name of a series → value."""
        values: dict[str, float] = {}
        for target, units in self.areas.items():
            for unit, area in units.items():
                names = ("gates", "sram_bits") if target == CELLS else ("luts", "flip_flops", "dsps", "brams")
                found = area.as_json
                values |= {f"{self.config.name}/{unit}/{target}/{name}": found[name] for name in names}  # type: ignore
        for unit, clock in self.clocks.items():
            if not isinstance(clock, str):
                values[f"{self.config.name}/{unit}/ecp5/mhz"] = median(p.slowest.reached for p in clock)
        return values

    def text(self) -> str:
        """Tables for a terminal."""
        blocks = [f"'{self.config.name}' ({self.config.hash:08x})"]
        for target, units in self.areas.items():
            blocks.append(self._cells(units) if target == CELLS else _fpga(target, units.values()))
        if self.clocks:
            blocks.append(self._clocks())
        return "\n\n".join(blocks)

    def _cells(self, units: dict[str, Area]) -> str:
        shares = self.shares()
        rows = [["standard cells", "gates", "share %", "Figure 13 %", "SRAM bits"]]
        for unit, area in units.items():
            share = shares.get(unit, {"share": None, "paper": None})
            rows.append([unit, f"{area.gates:,.0f}", *("-" if share[n] is None else f"{share[n]:.1f}"
                                                       for n in ("share", "paper")), f"{area.sram_bits:,}"])
        for group, share in self.groups().items():
            rows.append([group, "", f"{share['share']:.1f}", f"{share['paper']:.1f}", ""])
        return table(rows)

    def _clocks(self) -> str:
        rows, paths = [["MHz on ECP5", "median", "lowest", "highest", "seeds", "critical path of the median seed"]], []
        for unit, clock in self.clocks.items():
            if isinstance(clock, str):
                rows.append([unit, "-", "-", "-", "0", clock])
                continue
            reached = sorted(p.slowest.reached for p in clock)
            middle = sorted(clock, key=lambda p: p.slowest.reached)[len(clock) // 2]
            path = middle.paths[0] if middle.paths else None
            rows.append([unit, f"{median(reached):.1f}", f"{reached[0]:.1f}", f"{reached[-1]:.1f}", _seeds(clock),
                         f"{path.start} → {path.end}" if path else "-"])
            if path:
                paths.append(f"{unit}: {path.text()}")
            if middle.paths[1:] and middle.stuck:
                paths.append("\n".join(["between other signals, by the same placement:", *(
                    f"  {p.delay:.2f} ns, {p.levels} levels: {p.start} → {p.end}" for p in middle.paths[1:])]))
        return "\n\n".join([table(rows), *paths])


def _seeds(clock: list[Placement]) -> str:
    stuck = sum(bool(p.stuck) for p in clock)
    routings = sum(len(p.routings) for p in clock)
    return (f"{len(clock)}" + (f", {routings} routings" if routings > len(clock) else "")
            + (f", {stuck} placed only" if stuck else ""))


def _fpga(target: str, areas: Iterable[Area]) -> str:
    rows = [[target, "LUTs", "adders", "LUT RAM", "flip-flops", "DSPs", "block RAMs", "counted more than once"]]
    for area in areas:
        u = area.utilisation
        copies = ", ".join(f"{module} ×{n}" for module, n in area.copies.items()) if area.unit != WHOLE else ""
        rows.append([area.unit, str(u.luts), str(u.carry), str(u.lut_ram), str(u.flip_flops), str(u.dsps),
                     f"{u.brams:g}", copies or "-"])
    return table(rows)


def directions(series: Iterable[str]) -> dict[str, str]:
    """Series → which way is better."""
    return {name: DIRECTIONS[name.rsplit("/", 1)[1]] for name in series}
