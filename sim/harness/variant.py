"""What a test run may ask of every simulation that it builds, through the environment.

`SPATTEN_MUTANTS`: mutants in the design (`sim/verify/mutants.py`). `SPATTEN_COVERAGE`: a folder that every simulation
leaves in, when it ends, which lines it ran and which bits moved (`sim/verify/coverage.py`).

Without these nothing here changes anything. With them the simulations have libraries of their own.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amaranth.lib import wiring

#: The environment's name of the file that lists the mutants (`sim/verify/sample.py`).
MUTANTS = "SPATTEN_MUTANTS"
#: The environment's name of the folder for coverage (also in `coverage.h`).
COVERAGE = "SPATTEN_COVERAGE"
_asked: Counter[str] = Counter()


def simulated_verilog(component: wiring.Component, name: str, jobs: int = 1, *, contracts: bool = True) -> str:
    """`to_verilog`, as a rule with contracts, and with what the environment asks for (mutants have contracts)."""
    from spatten_hw.verilog import to_verilog

    path = os.environ.get(MUTANTS)
    return _mutated(component, name, jobs, path) if path else to_verilog(component, name, jobs, contracts=contracts)


def tag() -> str:
    """What tells the libraries of this variant from others that are made of the same sources; "": the design as it is.
    """
    path = os.environ.get(MUTANTS)
    return (f"mutants {_digest(path)}" if path else "") + compiled()


def compiled() -> str:
    """What tells libraries of the same Verilog apart that are compiled for another purpose; "": the ordinary ones."""
    return "-coverage" if os.environ.get(COVERAGE) else ""


def verilator_options() -> list[str]:
    """Options of Verilator, besides the usual ones."""
    return ["--coverage-line", "--coverage-toggle"] if os.environ.get(COVERAGE) else []


def keep_text(verilog: str, folder: Path) -> str:
    """Keeps a design's text in `folder`, since coverage speaks of its lines; the name that its coverage goes by."""
    name = hashlib.sha256(verilog.encode()).hexdigest()[:16]
    path = folder / f"coverage-{name}.v"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(verilog)
        part.rename(path)
    return name


@cache
def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _mutated(component: wiring.Component, name: str, jobs: int, path: str) -> str:
    """The design with the listed mutants in it. A mutant's run asks for the same designs in the same order as the runs
    before it: a text is kept by test and turn, since converting the design takes longer than simulating it."""
    from spatten_hw.sim.verify.mutate import NUMBER_VERILOG, with_mutants
    from spatten_hw.sim.verify.sample import read_list
    from spatten_hw.verilog import from_rtlil, to_rtlil

    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    asked = f"{test} {type(component).__qualname__} {name}"
    _asked[asked] += 1
    key = hashlib.sha256(f"{_digest(path)} {asked} {_asked[asked]} {_source(test)}".encode()).hexdigest()[:24]
    kept = Path(path).parent / "verilog" / f"{key}.v"
    if test and kept.exists():
        return kept.read_text()
    text, present = with_mutants(to_rtlil(component, name, jobs, contracts=True), read_list(Path(path)))
    verilog = from_rtlil(text) + (NUMBER_VERILOG if present else "")
    if test:
        kept.parent.mkdir(exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_text(verilog)
        part.rename(kept)
    return verilog


@cache
def _source(test: str) -> str:
    """Digest of a test's file and of those beside it, where components' arguments are made."""
    file = Path(test.split("::")[0])
    digest = hashlib.sha256()
    for path in sorted(file.parent.glob("*.py")) if file.is_file() else ():
        digest.update(path.read_bytes())
    return digest.hexdigest()
