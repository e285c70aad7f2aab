"""The C++ headers that every simulation includes, compiled once: to read them is most of what the compiler does for a
small design.

The compiler takes such a header for what was compiled with the same options only, and reads the text otherwise: a
mistake here costs time, and nothing else. Designs that Verilator splits into many files have headers of their own,
which contain these (`sim/testbench/runner.py`, `verilator.py`).
"""

from __future__ import annotations

import os
from pathlib import Path

from .plain_paths import plain

_TEXT = "".join(f"#include <{name}>\n" for name in (
    "cstdint", "cstdio", "cstring", "fstream", "memory", "string", "vector", "verilated.h"))


class Headers:
    """The headers in the folder `kept`, for what is compiled at `level` ("-O0"); `more`: includes beyond those that
    all need."""

    def __init__(self, kept: Path, level: str, more: str = ""):
        self.level = level
        self.path = plain(kept) / f"headers{level}.h"
        if not self.path.exists():
            part = self.path.with_suffix(f".{os.getpid()}")
            part.write_text(_TEXT + more)
            part.rename(self.path)

    @property
    def missing(self) -> bool:
        """Whether they are still to be compiled."""
        return not Path(f"{self.path}.gch").exists()

    @property
    def compile(self) -> list[str]:
        """Arguments of `make`, with a design's makefile, that compile them with that design's options."""
        part = f"{self.path}.{os.getpid()}"
        recipe = (f"$(CXX) {self.level} $(CXXFLAGS) $(CPPFLAGS) -MF /dev/null -x c++-header -o '{part}' '{self.path}' "
                  f"&& mv '{part}' '{self.path}.gch'")
        return ["--eval", f"headers: ; {recipe}", "headers"]

    @property
    def use(self) -> list[str]:
        """Arguments of `make` that compile a design with them."""
        return [f"OPT_FAST={self.level} -Winvalid-pch -include '{self.path}'"]
