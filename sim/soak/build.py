"""The simulation of a drawn configuration: compiled as soon as can be, used once, deleted."""

from __future__ import annotations

import gc
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.build import TOP, build_library
from spatten_hw.sim.harness.rules import rules_of
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.top import Top
from spatten_hw.verilog import to_verilog

#: Of g++: a fifth more of its time than without, a twelfth of the simulation's.
OPTIMIZE = 1


@dataclass(frozen=True)
class Built:
    """A library and what it took: bytes of Verilog, seconds of elapsed time for Verilog and for the library."""

    library: Path
    verilog_bytes: int
    verilog_seconds: float
    library_seconds: float

    def simulate(self, config: SpAttenConfig, **options) -> VerilatedTransport:
        """A fresh simulation, held to the rules of the design; `options` of `VerilatedTransport`."""
        port = VerilatedTransport(config, library=self.library, **options)
        port.check_design(rules_of(config))
        return port


@contextmanager
def built(config: SpAttenConfig, folder: Path, keep: bool, say: Callable[[str], None]) -> Iterator[Built]:
    """Builds `config` in `folder`; its library is deleted afterwards unless `keep`."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["SPATTEN_BUILD"] = str(folder)
    start = time.monotonic()
    say("generating Verilog")
    text = _verilog(Top(config, probe=True))
    middle = time.monotonic()
    library = build_library(text, config.channels, config.axi_data_bits, probe=config, optimize=OPTIMIZE,
                            progress=say)
    try:
        yield Built(library, len(text), middle - start, time.monotonic() - middle)
    finally:
        if not keep:
            library.unlink(missing_ok=True)
            library.with_suffix(".lock").unlink(missing_ok=True)


def _verilog(top: Top) -> str:
    """Without collecting garbage: the process ends soon."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return to_verilog(top, TOP, contracts=True)
    finally:
        if enabled:
            gc.enable()


def clear(folder: Path) -> None:
    """Removes what stopped builds have left behind."""
    for path in (folder / "lib").glob("*.build"):
        shutil.rmtree(path, ignore_errors=True)
    for path in [*(folder / "lib").glob("*.lock"), *(folder / "lib").glob("*.so")]:
        path.unlink(missing_ok=True)
