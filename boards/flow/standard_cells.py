"""Standard cells: Verilog to the cells of a Liberty file, in gate equivalents.

Memories deeper than `REGISTER_FILE` words are SRAM on a chip; no compiler for it is at hand, so their bits are counted
beside the cells, not in them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from spatten_hw.errors import UserError

from .blocks import Design
from .families import Family

#: Memories of at most this many words become flip-flops.
REGISTER_FILE = 16

_CELL = re.compile(r"\bcell\s*\(\s*\"?(\w+)\"?\s*\)\s*\{(.*?)(?=\bcell\s*\(|\Z)", re.DOTALL)
_AREA = re.compile(r"\barea\s*:\s*([\d.eE+-]+)\s*;")
_MEMORY = re.compile(r"^ *(?:\(\*.*\*\) *)?reg (?:\[(\d+):0\] )?\S+ \[(\d+):0\];", re.MULTILINE)


def liberty_text(path: Path) -> str:
    """The text of a Liberty file, in whatever encoding its names are. Raises `UserError` if it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise UserError(f"--liberty {path}: {error.strerror}") from error


class Liberty:
    """The cells of a Liberty file. Raises `UserError` if it cannot be read or has no two-input NAND."""

    def __init__(self, path: Path):
        self.path = path.resolve()
        text = liberty_text(path)
        #: Cell → area, in the file's unit.
        self.areas = {name: float(area.group(1)) for name, body in _CELL.findall(text) if (area := _AREA.search(body))}
        gates = [area for name, area in self.areas.items() if re.search(r"nand2", name, re.IGNORECASE) and area > 0]
        if not gates:
            raise UserError(f"--liberty {path}: no two-input NAND (a cell named …nand2…) to count gates by; "
                            f"is it a Liberty file?")
        #: Area of the smallest two-input NAND: one gate equivalent.
        self.gate = min(gates)
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:8]

    def gates(self, cells: Mapping[str, int]) -> float:
        """Gate equivalents of `cells` (type → number)."""
        return sum(self.areas.get(cell, 0) * count for cell, count in cells.items()) / self.gate

    @cached_property
    def family(self) -> Family:
        """What `synthesis.py` needs to map to these cells: Booth multipliers, flip-flops, then ABC."""
        # Quoted, since Yosys' scripts are split at spaces; braces doubled, since what comes of this is a format.
        path = '"' + str(self.path).replace("{", "{{").replace("}", "}}") + '"'
        lines = ["synth -flatten -booth -top {top} -run begin:fine",
                 f"memory_map t:$mem_v2 r:SIZE<={REGISTER_FILE} %i", "opt -fast -full", "opt -undriven -fine",
                 "techmap", "opt -fast", f"dfflibmap -liberty {path}", "opt -fast",
                 f"abc -liberty {path}", "opt_clean"]
        return Family(f"cells_{self.digest}", self.path.stem, "\n".join(lines), {}, ())


def sram_bits(design: Design, modules: Iterable[str]) -> int:
    """Bits of the memories in `modules` that are too deep to become flip-flops."""
    bits = 0
    for name in modules:
        for width, depth in _MEMORY.findall(design.modules[name]):
            words = int(depth) + 1
            bits += (int(width or 0) + 1) * words if words > REGISTER_FILE else 0
    return bits
