"""Power of a configuration by what the nets of a smaller one do: for those whose trace takes long to build.

Both consist of the same slices. Exact are the configuration's own clock pins, memories, areas, cycles, bytes and DRAM;
taken over from the other, unit by unit, is what an event costs beside the clock, and what share of the accesses that
their ports allow memories see in a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spatten_hw.config import SpAttenConfig

from .cacti import Cacti
from .chip import UnitSilicon
from .runs import Run
from .units import Energy

#: Unit → its events in a run; of others, cycles.
EVENTS: dict[str, Callable[[Run], float]] = {
    "fetcher": lambda run: run.bytes, "score": lambda run: run.macs[0], "prob_value": lambda run: run.macs[1],
    **dict.fromkeys(("softmax", "local_topk", "pruner"), lambda run: run.macs[0] / run.case.dim),
    **dict.fromkeys(("requantiser", "writer"), lambda run: run.case.heads * (
        1 if run.case.generate else run.case.tokens)),
}


def project(units: Sequence[UnitSilicon], run: Run, config: SpAttenConfig, others: Sequence[UnitSilicon],
            other_run: Run, other: SpAttenConfig, macros: Cacti) -> None:
    """Gives `units` of `config` their energy in `run`, from that of `others` in `other_run`."""
    by_name = {unit.unit: unit for unit in others}
    for unit in units:
        like = by_name[unit.unit]
        known = like.energy[other_run.case.name]
        events = EVENTS.get(unit.unit, lambda run: run.cycles)
        ratio = (events(run) / run.cycles) / (events(other_run) / other_run.cycles)
        moves = (known.logic - known.clock) * ratio
        per_slice = ratio * other.slices / config.slices
        ports, other_ports = _every_port(unit, macros), _every_port(like, macros)
        sram = known.sram * per_slice * ports / other_ports if other_ports else 0.0
        unit.energy[run.case.name] = Energy(
            internal=unit.clock + moves, switching=0.0, sequential=unit.clock, clock=unit.clock,
            leakage=known.leakage * unit.area / like.area if like.area else 0.0, sram=sram, reads=0.0, writes=0.0,
            wrong=0, wrong_cycles=0, toggles=known.toggles)


def _every_port(unit: UnitSilicon, macros: Cacti) -> float:
    """pJ if every memory is read and written once."""
    return sum(n * (macros.macro(shape).read + macros.macro(shape).write) for shape, n in unit.memories.items())
