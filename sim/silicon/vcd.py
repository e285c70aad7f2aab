"""Values of signals out of a VCD file (IEEE 1364, clause 18), cycle by cycle, read by `vcd.cpp`."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.sim.harness import kept
from spatten_hw.sim.harness.errors import ToolError
from spatten_hw.sim.harness.verilator import call

_COMMAND = ["g++", "-std=c++17", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra"]


@dataclass(frozen=True)
class Var:
    """A variable of the header. `code`: its identifier as a number; `width` in bits."""

    code: int
    width: int


class Trace:
    """A VCD file whose header has been read. `signals`: path, scopes joined by dots → variable."""

    def __init__(self, path: Path):
        self.path = path
        self.signals: dict[str, Var] = {}
        scopes: list[str] = []
        offset = 0
        with path.open("rb") as file:
            for line in file:
                offset += len(line)
                words = line.split()
                if not words:
                    continue
                if words[0] == b"$scope":
                    scopes.append(words[2].decode())
                elif words[0] == b"$upscope":
                    scopes.pop()
                elif words[0] == b"$var":
                    # $var wire 12 <identifier> <name> [11:0] $end; a word of a memory has its number in the name.
                    self.signals[".".join([*scopes, words[4].decode()])] = Var(code(words[3]), int(words[2]))
                elif words[0] == b"$enddefinitions":
                    break
        self._offset = offset

    def values(self, wanted: Iterable[str], windows: Sequence[tuple[int, int]]) -> dict[str, np.ndarray]:
        """Signal → words [bit, ⌈cycles/64⌉] in all cycles of `windows` (first, behind the last), one after the other.
        KeyError for a signal that is not there."""
        names = list(dict.fromkeys(wanted))
        found = [self.signals[name] for name in names]
        place: dict[int, tuple[int, int]] = {}
        bits = 0
        for var in found:
            if var.code not in place:
                place[var.code] = bits, var.width
                bits += var.width
        cycles = sum(end - first for first, end in windows)
        words = -(-cycles // 64)
        out = np.zeros((bits, words), dtype=np.uint64)

        def array(values: Iterable[int]) -> np.ndarray:
            return np.array(list(values), dtype=np.uint64)
        codes, rows = array(place), array(row for row, _ in place.values())
        widths, spans = array(width for _, width in place.values()), array(c for window in windows for c in window)
        seen = _library().vcd_read(str(self.path).encode(), self._offset, len(codes), codes.ctypes.data,
                                   int(codes.max(initial=0)) + 1, widths.ctypes.data, rows.ctypes.data, len(windows),
                                   spans.ctypes.data, words, out.ctypes.data)
        if seen != cycles:
            raise ValueError(f"{self.path}: {seen} of {cycles} cycles are in the trace")
        return {name: out[place[var.code][0]:place[var.code][0] + var.width]
                for name, var in zip(names, found, strict=True)}


def code(identifier: bytes) -> int:
    """An identifier as a number, the same as in `vcd.cpp`."""
    number = 0
    for character in identifier:
        number = number * 95 + character - 32
    return number


@functools.cache
def _library() -> Any:
    source = Path(__file__).with_name("vcd.cpp")
    digest = hashlib.sha256(" ".join(_COMMAND).encode() + source.read_bytes()).hexdigest()[:16]

    def make(work: Path) -> Path:
        if shutil.which("g++") is None:
            raise ToolError("g++ not found; install with: apt-get install g++")
        made = work / "libvcd.so"
        call([*_COMMAND, str(source), "-o", str(made)], work, dict(os.environ), work / "compile.log")
        return made
    lib = kept.load(kept.library(f"vcd-{digest}", make))
    p, u64 = ctypes.c_void_p, ctypes.c_uint64
    lib.vcd_read.restype = ctypes.c_int64
    lib.vcd_read.argtypes = [ctypes.c_char_p, u64, u64, p, u64, p, p, u64, p, u64, p]
    return lib
