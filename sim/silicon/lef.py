"""Areas of cells out of a LEF file of the user's own: another estimate of the logic, at 45 nm, beside the scaled one.

The cells of the netlist are those of the Liberty file; each is taken for the smallest of the LEF file with the same
name but for drive and separators (NAND2X1 → NAND2_X1), or for one of `OTHERS`. LEF: Cadence, LEF/DEF Language
Reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from spatten_hw.errors import UserError

#: Plain name of a cell → of what does the same under another.
OTHERS = {"dffpos": ("dff",), "dffneg": ("dff",), "dffsr": ("dffrs", "dff"), "mux2": ("mux2",), "fa": ("fa",),
          "ha": ("ha",), "xor2": ("xor2",), "xnor2": ("xnor2",), "inv": ("inv",), "buf": ("buf",),
          "clkbuf": ("clkbuf",), "aoi21": ("aoi21",), "aoi22": ("aoi22",), "oai21": ("oai21",), "oai22": ("oai22",)}
_MACRO = re.compile(r"^MACRO\s+(\S+)(.*?)^END\s+\1", re.MULTILINE | re.DOTALL)
_SIZE = re.compile(r"\bSIZE\s+([\d.]+)\s+BY\s+([\d.]+)")


class Lef:
    """Cells of a LEF file. Raises `UserError` if it cannot be read or has none."""

    def __init__(self, path: Path):
        self.path = path
        try:
            text = path.read_text(errors="replace")
        except OSError as error:
            raise UserError(f"--lef {path}: {error.strerror}") from error
        self.areas: dict[str, float] = {}
        for name, body in _MACRO.findall(text):
            if size := _SIZE.search(body):
                area = float(size[1]) * float(size[2])
                plain = _plain(name)
                self.areas[plain] = min(area, self.areas.get(plain, area))
        if not self.areas:
            raise UserError(f"--lef {path}: holds no MACRO with a SIZE; is it a LEF file of cells?")

    def area(self, cells: Mapping[str, int]) -> float:
        """µm² of `cells` (type → number). Raises `UserError` if one has no like."""
        total = 0.0
        missing = []
        for cell, count in cells.items():
            plain = _plain(cell)
            found = next((self.areas[name] for name in (plain, *OTHERS.get(plain, ())) if name in self.areas), None)
            if found is None:
                missing.append(cell)
            else:
                total += count * found
        if missing:
            raise UserError(f"--lef {self.path}: has no cell like {', '.join(sorted(missing))}")
        return total


def _plain(name: str) -> str:
    """Name without its drive: NAND2_X1, NAND2X1 → nand2."""
    return re.sub(r"_?x\d+$", "", name.lower()).replace("_", "")
