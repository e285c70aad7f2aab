"""The accelerator's units, each a module of its own in the Verilog, and the blocks inside them that occur often."""

from __future__ import annotations

from collections.abc import Iterable

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.csr import ControlRegisters
from spatten_hw.control.job_reader import JobReader
from spatten_hw.control.scale_table import ScaleTable
from spatten_hw.control.sequencer import Sequencer
from spatten_hw.fetch.fetcher import Fetcher
from spatten_hw.generate import TOP
from spatten_hw.matmul.prob_value import ProbValueUnit
from spatten_hw.matmul.score import ScoreUnit
from spatten_hw.prune.pruner import Pruner
from spatten_hw.shared import VerilogPlatform
from spatten_hw.softmax.softmax import Softmax
from spatten_hw.topk.local import LocalTopK
from spatten_hw.write.requantise import Requantiser
from spatten_hw.write.writer import Writer

from .blocks import Design

#: Unit → its class, in the order of the data.
UNITS = {
    "fetcher": Fetcher, "score": ScoreUnit, "softmax": Softmax, "local_topk": LocalTopK, "prob_value": ProbValueUnit,
    "requantiser": Requantiser, "writer": Writer, "pruner": Pruner, "sequencer": Sequencer, "job_reader": JobReader,
    "scale_table": ScaleTable, "registers": ControlRegisters,
}
#: A module that occurs at least so often in a unit is a block of its own if it is long enough.
OFTEN = 4
#: Lines of Verilog, with everything below it, from which a module that occurs often is worth its own synthesis.
LONG = 400


def unit_modules(config: SpAttenConfig, top: str = TOP) -> dict[str, str]:
    """Unit → name of its module in the Verilog of `config` whose modules' names start with `top`."""
    platform = VerilogPlatform(top)
    return {name: platform.module((unit, config)) for name, unit in UNITS.items()}


def repeated_modules(design: Design, units: Iterable[str]) -> list[str]:
    """Modules inside `units` that occur often and are long: synthesised once, counted as often as they occur."""
    counts = [design.occurrences(unit) for unit in units]
    found = []
    for name in design.modules:
        often = max(count.get(name, 0) for count in counts) >= OFTEN
        if often and design.text(design.closure(name)).count("\n") >= LONG:
            found.append(name)
    return found
