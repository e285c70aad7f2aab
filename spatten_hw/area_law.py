"""Area estimates: the FPGA resources of a unit as a constant plus a slope per driver.

Drivers are widths and counts that a configuration sets; the constants and slopes (`units.py`, `engines.py`) are fitted
to results of ECP5 synthesis for `small`, `eighth` and `full` (docs/fpga-findings.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import SpAttenConfig

#: What the laws depend on. `mults`: multiplier bits of an array; `beat`, `beats`: data bits of one channel, of all;
#: `multipliers` of an array, `slices`, which are the lanes of the softmax, keys per cycle of `topk`; `ram`: block RAMs
#: of an array's two halves, of 36 bits by 512 words at least; `vectors`: thousands of scores that the softmax holds;
#: `rules`: 1 with the decision rules beside the paper's, `ruled`: their slices.
DRIVERS = {
    "mults": lambda c: c.multipliers * c.operand_bits,
    "beat": lambda c: c.axi_data_bits,
    "beats": lambda c: c.channels * c.axi_data_bits,
    "multipliers": lambda c: c.multipliers,
    "slices": lambda c: c.slices,
    "topk": lambda c: c.topk_lanes,
    "ram": lambda c: c.multipliers * c.operand_bits * max(512, 2 * c.sram_words) / 18432,
    "vectors": lambda c: c.slots * c.max_tokens / 1024,
    "slots": lambda c: c.slots,
    "rules": lambda c: c.decision_rules,
    "ruled": lambda c: c.decision_rules * c.slices,
}


@dataclass(frozen=True)
class Law:
    """constant + Σ slope · driver, not less than 0."""

    constant: float
    slopes: Mapping[str, float]

    def __call__(self, config: SpAttenConfig) -> float:
        return max(0.0, self.constant + sum(slope * DRIVERS[name](config) for name, slope in self.slopes.items()))


def law(constant: float, **slopes: float) -> Law:
    """`law(460, mults=6.13)`: 460, and 6.13 for each multiplier bit."""
    return Law(constant, slopes)


#: Quantity → law; one that is missing is 0. Quantities: "luts" of four inputs, "flip_flops", "dsps" (multiplier blocks
#: of 18 × 18), "brams" (of 18 kbit).
Laws = Mapping[str, Law]
