"""MNNFast (H. Jang et al., "MnnFast: A Fast and Scalable System Architecture for Memory-Augmented Neural Networks",
ISCA 2019): K and V are streamed in chunks, the division of softmax comes last, and rows of V whose probability is under
a threshold are skipped after they have been read. Its paper was not at hand: constants are assumed.
"""

from __future__ import annotations

import numpy as np

from .dense import BITS, dense_bytes
from .layers import Layers
from .rival import Cost, Machine

#: Cycles of a query beside its products: adder tree, exponential, division.
OVERHEAD = 9


class MnnFast:
    """All keys are scored, few values added; memory is read in full."""

    name = "mnnfast"
    title = "MNNFast"
    source = "Jang et al., ISCA 2019"
    #: Values whose probability is not under the threshold, per key.
    kept = 0.1
    assumptions = (
        "Half of the multipliers score, half add values, on different queries at a time, as in A3 and SpAtten: Q×K, "
        "from which no key is left out, decides; the values skipped save operations and no time. 9 cycles more per "
        "query.",
        "A tenth of the values is above the threshold. Its own paper skips more, on memory networks, whose "
        "probabilities are steeper than those of BERT.",
        "K and V come dense, in 12 bits as for the others.")

    def cost(self, layers: Layers, machine: Machine) -> Cost:
        """All keys, a tenth of the values."""
        d, moved = layers.dense(), dense_bytes(layers, BITS)
        heads, keys = d.heads * d.group, d.keys_per_query
        busy = heads * d.queries * (keys + OVERHEAD) * 2 * d.dim / machine.multipliers
        cycles = np.maximum(busy, moved / machine.bytes_per_cycle)
        return Cost(cycles, moved, 2 * heads * d.queries * d.dim * (keys + np.ceil(self.kept * keys)))
