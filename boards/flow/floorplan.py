"""Where the multipliers of the arrays go on an ECP5.

Its DSP blocks lie in rows as wide as the die, a quarter of its height apart. Left alone, the placer fills one row with
the 32 multipliers of an array and with those of address units as well: every wire to and from them then runs along that
row, half of which the router could not sort out (docs/fpga-findings.md). Here each array gets a row of its own, at the
top and at the bottom, so that the whole die is between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: A block of four multipliers in a row: (columns from its first, index of the bel).
_BLOCK = ((0, 0), (1, 1), (4, 4), (5, 5))


@dataclass(frozen=True)
class DspGrid:
    """The DSP blocks of a device: `rows`, and the first column of each block of four multipliers in a row."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


#: LFE5U-85F and LFE5UM5G-85F, as Project Trellis has them.
ECP5_85 = DspGrid((10, 34, 58), (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114))


@dataclass(frozen=True)
class Region:
    """Multipliers of the cells in whose names `cells` (a pattern) is found go to `rows` (indices in `DspGrid.rows`, the
    first holds the first half), in blocks from index `first` on."""

    cells: str
    rows: tuple[int, ...]
    first: int
    blocks: int


#: Prob×V, the requantiser behind it, Q×K: no block is shared.
REGIONS = (Region(r"\.prob_value\..*\.sums\.", (0,), 1, 8), Region(r"\.requantiser\.", (1,), 8, 3),
           Region(r"\.score\..*\.dot\.", (2,), 3, 8))


def floorplan(module: Mapping[str, Any], grid: DspGrid) -> dict[str, str]:
    """Writes a place (`BEL`) beside every multiplier of a region in `module` (of a JSON netlist of Yosys); returns
    cell → place. A region whose multipliers do not fit its blocks is left to the placer."""
    multipliers = [name for name, cell in module["cells"].items() if cell["type"] == "MULT18X18D"]
    places: dict[str, str] = {}
    for region in REGIONS:
        inside = sorted((name for name in multipliers if re.search(region.cells, name)), key=_order)
        bels = _bels(region, grid)
        if len(inside) <= len(bels):
            places |= dict(zip(inside, bels, strict=False))
    for name, bel in places.items():
        module["cells"][name]["attributes"]["BEL"] = bel
    return places


def _bels(region: Region, grid: DspGrid) -> list[str]:
    """Places of a region in the order of its multipliers; every other row backwards, so that neighbours in number are
    neighbours."""
    bels = []
    for turn, row in enumerate(region.rows):
        line = [f"X{x + dx}/Y{grid.rows[row]}/MULT18_{z}"
                for x in grid.columns[region.first:region.first + region.blocks] for dx, z in _BLOCK]
        bels += line if turn % 2 == 0 else line[::-1]
    return bels


def _order(name: str) -> tuple:
    """Numbers in names as numbers: product 10 comes after product 9."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))
