"""Energy of events as `bench silicon` has measured it on mapped netlists of a preset: clock and leakage included."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.silicon.events import EventEnergy, energy_per_event

from .energy_table import EnergyTable

#: Bytes of a score in the memories of the softmax, and of a probability in those of local top-k.
SCORE_BYTES, PROBABILITY_BYTES = 30 / 8, 2
#: Bytes of an output element.
OUTPUT_BYTES = 2


def measured_table(config: SpAttenConfig, preset: str, ghz: float = 1.0) -> EnergyTable:
    """The energies measured of `preset`, for a build that is it or much like it, at a clock of `ghz` (which leakage,
    W, is spread over). Raises `UserError` if none have been measured of `preset`.

    What the units beside arrays and fetcher take for logic is in every cycle (`idle_cycle`), with clock and leakage.
    Memories that are read without need are in none of the events, so that the whole comes to some three quarters of
    what `bench silicon` counts (docs/model.md).
    """
    e = energy_per_event(preset)
    leakage = 1000 * sum(e.leakage_w.values()) / ghz         # pJ in a cycle
    return EnergyTable(
        multiply_accumulate=(e.mac["qk"] + e.mac["pv"]) / 2, sram_byte=_byte(e, "score") / 2,
        buffer_byte=_byte(e, "fetcher"), softmax_key=_byte(e, "softmax") * SCORE_BYTES,
        topk_key=_byte(e, "local_topk") * PROBABILITY_BYTES, output=_byte(e, "writer") * OUTPUT_BYTES,
        idle_cycle=(e.cycle + e.rest + leakage) / (2 * config.multipliers),
        source=f"bench silicon --preset {preset}, scaled to 40 nm (docs/silicon.md)")


def _byte(e: EventEnergy, unit: str) -> float:
    """pJ of a byte written to and read from the largest memory of a unit."""
    return sum(e.word[unit]) / (e.word_bits[unit] / 8)
