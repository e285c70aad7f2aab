"""What a transistor that is off lets through, by CACTI's tables of processes."""

from __future__ import annotations

import math
import re
from pathlib import Path

from spatten_hw.errors import UserError

from .cacti_config import DEVICES


def off_current(program: Path, nm: float) -> float:
    """A per µm of width of a transistor that is off, of CACTI's table of `DEVICES` at 30 °C; between two tables, on the
    power law."""
    tables = {float(path.name.removesuffix("nm.dat")): path
              for path in (program.parent / "tech_params").glob("*nm.dat")}
    found = {size: current for size, path in tables.items() if (current := _off(path.read_text())) is not None}
    if nm in found:
        return found[nm]
    above = min((size for size in found if size > nm), default=None)
    below = max((size for size in found if size < nm), default=None)
    if above is None or below is None:
        raise UserError(f"CACTI has no tables round {nm:g} nm")
    share = math.log(above / nm) / math.log(above / below)
    return found[above] ** (1 - share) * found[below] ** share


def _off(text: str) -> float | None:
    kinds = re.search(r"^parameters \(unit\) temp (.*)$", text, re.MULTILINE)
    row = re.search(r"^-I_off_n \(A/um\) 30 (.*)$", text, re.MULTILINE)
    if kinds is None or row is None:
        return None
    return dict(zip(kinds[1].split(), map(float, row[1].split()), strict=False)).get(DEVICES.removeprefix("itrs-"))
