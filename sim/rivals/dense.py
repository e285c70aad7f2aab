"""The same arrays with nothing left out: what pruning has to beat."""

from __future__ import annotations

import numpy as np

from .layers import Layers
from .rival import Cost, Machine

#: Bits of an operand in memory and on the chip.
BITS = 12
#: Bits of an output.
OUT_BITS = 16


def dense_bytes(layers: Layers, bits: int = BITS) -> np.ndarray:
    """Q, K and V read once, outputs written once."""
    d = layers.dense(bits)
    outputs = d.queries * d.heads * d.group * d.dim * OUT_BITS / 8
    return d.bytes + outputs


class Dense:
    """Both arrays busy on all keys and all values, 12 bits, memory and arithmetic overlapped."""

    name = "dense"
    title = "dense, same arrays"
    source = "arithmetic"
    assumptions = ("Half of the multipliers for Q×K, half for Prob×V, both always busy: no latency, no rounding up of "
                   "rows to lanes.",
                   "12-bit Q, K and V read once per layer; whichever is slower, memory or arithmetic, decides.")

    def cost(self, layers: Layers, machine: Machine) -> Cost:
        """The slower of memory and arithmetic."""
        operations, moved = layers.dense().operations, dense_bytes(layers)
        cycles = np.maximum(operations / 2 / machine.multipliers, moved / machine.bytes_per_cycle)
        return Cost(cycles, moved, operations)
