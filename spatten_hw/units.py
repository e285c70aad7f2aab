"""The units of the accelerator in one table: the names of each, its counters and status bits, its area.

The accelerator is built from it, and registers, counters, probes, the Verilog's header, the area tools and the
pages take their names from it. Plain Python: a component is imported on demand.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .area_law import Laws, law

if TYPE_CHECKING:
    from amaranth.lib import wiring

    from .config import SpAttenConfig

#: Which of the two running jobs a unit works for: the one up to the softmax, or the one after it.
FRONT, BACK = "front", "back"


@dataclass(frozen=True)
class Part:
    """A block inside a unit that the paper has a name for. `module`: of the Verilog, without the design's prefix;
    `figure`: number in SpAtten's Figure 8."""

    module: str
    figure: str
    title: str


@dataclass(frozen=True)
class Unit:
    """A block of `Accelerator`, a Verilog module of its own.

    `name`: of the instance, and in area tables; `word`: in timelines, reports and messages; `title`: what it is, in the
    header of the Verilog; `component`: "module:Class" below `spatten_hw`. `figure`: its number in SpAtten's Figure 8,
    `share`: % of the paper's chip (Figure 13), None where the figure has no such part. `job`: whose layer it works on.
    `event`: name in its counters busy_EVENT and stall_EVENT and of its bit in ACTIVITY; `busy`, `stall`: what those
    counters count; `active`: meaning of the bit in ACTIVITY. `laws`: its area, see `area_law.py`.
    """

    name: str
    word: str
    title: str
    component: str
    figure: str = ""
    share: float | None = None
    job: str = ""
    event: str = ""
    busy: str = ""
    stall: str = ""
    active: str = ""
    parts: tuple[Part, ...] = ()
    laws: Laws | Callable[[SpAttenConfig], Laws] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        return self.component.partition(":")[2]

    @property
    def module(self) -> str:
        """Its module in the Verilog, without the design's prefix."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", self.class_name).lower()

    def load(self) -> type[wiring.Component]:
        """The component's class; imports Amaranth."""
        module, _, name = self.component.partition(":")
        return getattr(importlib.import_module(f"{__package__}.{module}"), name)

    def area(self, config: SpAttenConfig) -> dict[str, float]:
        """Quantity → the unit's estimate for an ECP5, by its laws."""
        laws = self.laws(config) if callable(self.laws) else self.laws
        return {quantity: one(config) for quantity, one in laws.items()}


#: Prob×V, its sums in block memories, or in look-up tables.
_SUMS: Laws = {"luts": law(714, mults=10.5, slots=34), "flip_flops": law(2270, mults=14.8, slots=97),
               "dsps": law(0, multipliers=1, slices=3), "brams": law(22.6, ram=1.49, multipliers=1.395)}
_LOCAL_SUMS: Laws = {"luts": law(897, mults=10.5, slots=34), "flip_flops": law(704, mults=14.8, slots=97),
                     "dsps": law(0, multipliers=1, slices=3), "brams": law(-1.8, ram=1.49)}

#: In the order of the data, then control.
UNITS = (
    Unit("fetcher", "fetch", "Q-K-V fetcher", "fetch.fetcher:Fetcher", "1", 14.2, event="fetch",
         busy="cycles with a read unanswered or a fetched row not yet delivered",
         stall="cycles in which fetched data waited for its taker",
         active="a read is unanswered or a fetched row not taken",
         parts=(Part("channel_reader", "1", "reads of one memory channel"),
                Part("slice_feed", "1", "buffers and bit-width converters of one slice")),
         laws={"luts": law(2470, beats=9.8, mults=10), "flip_flops": law(2600, beats=6.4, mults=5.5),
               "dsps": law(0, slices=1, beat=0.02), "brams": law(-4, beats=0.134)}),
    Unit("score", "score", "query-key multiplication", "matmul.score_unit:ScoreUnit", "2, 3", 38.6, FRONT, "score",
         busy="cycles in which Q×K scored a row", stall="cycles in which Q×K had work but no data or no room",
         active="Q×K has a command or scores",
         parts=(Part("score_slice__keys", "2", "key SRAM of one slice"),
                Part("score_slice", "3", "Q x K multipliers and adder tree of one slice")),
         laws={"luts": law(-488, mults=3.88, slots=248), "flip_flops": law(200, mults=8.4, slots=50),
               "dsps": law(0, multipliers=1), "brams": law(-8.8, ram=0.777, multipliers=0.477)}),
    Unit("softmax", "softmax", "softmax and progressive quantisation", "softmax.softmax:Softmax", "4, 5", 4.2, FRONT,
         "softmax", busy="cycles in which the softmax worked on a row",
         active="the softmax has a row, a vector or a result not taken",
         parts=(Part("softmax__decision", "5", "progressive quantisation: is the maximum below the threshold"),),
         laws={"luts": law(2250, slices=1740, slots=75, ruled=290),
               "flip_flops": law(1750, slices=1012, slots=27, rules=100, ruled=63), "dsps": law(0, slices=3),
               "brams": law(2.7, slices=0.71, vectors=3.8, rules=4)}),
    Unit("local_topk", "top-k", "top-k engine of local value pruning", "topk.local:LocalTopK", "6-8", 2.7, BACK, "topk",
         busy="cycles in which a top-k engine worked", active="a vector came into the local top-k and has not left",
         laws=lambda c: c.engine.laws),
    Unit("prob_value", "value", "attention prob-value multiplication", "matmul.prob_value:ProbValueUnit", "9, 10", 38.1,
         BACK, "value", busy="cycles in which Prob×V accumulated a row",
         stall="cycles in which Prob×V had work but no data or no room", active="Prob×V has something",
         parts=(Part("value_slice__sram", "9", "value SRAM of one slice"),
                Part("value_slice", "10", "prob x V multipliers and sums of one slice")),
         laws=lambda c: _LOCAL_SUMS if c.local_sums else _SUMS),
    Unit("requantiser", "output", "requantiser", "write.requantise:Requantiser", job=BACK,
         laws={"luts": law(1274, beat=27.5, rules=400), "flip_flops": law(1311, beat=20.6, rules=185),
               "dsps": law(0.3, beat=0.1354, rules=1), "brams": law(0, beat=0.031)}),
    Unit("writer", "write", "output writer", "write.writer:Writer", event="write",
         busy="cycles with writes buffered or unanswered", active="something is buffered for writing or unanswered",
         laws={"luts": law(470, beats=1.78, beat=3.5), "flip_flops": law(220, beats=0.133, beat=5.3),
               "brams": law(0, beats=0.031, beat=0.031)}),
    Unit("pruner", "cascade pruner", "cascade token and head pruning", "prune.pruner:Pruner", job=FRONT,
         event="cascade", busy="cycles in which the cascade pruner worked",
         active="the cascade pruner prepares or finishes a job",
         parts=(Part("pruner__selector", "6-8", "token pruning: radix select"),
                Part("pruner__head_pruning", "6-8", "head pruning"),
                Part("pruner__token_importance", "", "importance accumulator: tokens"),
                Part("pruner__head_importance", "", "importance accumulator: heads")),
         laws={"luts": law(3000, topk=29, slices=1396), "flip_flops": law(1600, topk=30, slices=517),
               "brams": law(4.9, topk=0.33, slices=2.43)}),
    Unit("sequencer", "sequencer", "controller", "control.sequencer:Sequencer",
         laws={"luts": law(700, slices=104, slots=41), "flip_flops": law(1835, slices=31, slots=6), "brams": law(1)}),
    Unit("job_reader", "job reader", "job queue and descriptor reader", "control.job_reader:JobReader",
         active="a descriptor is being read, or a job waits to be taken",
         laws={"luts": law(1660), "flip_flops": law(2260), "dsps": law(3)}),
    Unit("scale_table", "scale table", "quantisation scales of the jobs in flight", "control.scale_table:ScaleTable",
         laws={"brams": law(4)}),
    Unit("registers", "registers", "registers and counters behind AXI4-Lite", "control.csr:ControlRegisters",
         laws={"luts": law(1490), "flip_flops": law(710)}),
)
#: The logic between the units: streams, skid buffers, forks.
GLUE_LAWS: Laws = {"luts": law(480, slices=5, beat=2.4), "flip_flops": law(1680, slices=5.5, beat=4.9)}
BY_NAME = {unit.name: unit for unit in UNITS}
#: The units with a bit in ACTIVITY, in the order of the bits.
ACTIVE = tuple(unit for unit in UNITS if unit.active)
#: Words that name no unit but the other end of a stream: the host, and memory ports (`memory 0`, …).
HOST, MEMORY = "host", "memory"


def area(config: SpAttenConfig) -> dict[str, dict[str, float]]:
    """Unit, and "glue" → quantity → estimate for an ECP5, by the laws."""
    glue = {quantity: one(config) for quantity, one in GLUE_LAWS.items()}
    return {unit.name: unit.area(config) for unit in UNITS} | {"glue": glue}
