"""Which tokens the slots of a cache hold at every step, under a policy that attention does not decide."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.models.eviction.policy import Eviction
from spatten_hw.sim.models.eviction.slots import Slots


def slot_table(policy: Eviction, cache: int, prompt: int, steps: int) -> np.ndarray:
    """Positions int64 [steps, cache + 1], by slot, of a step's own token and those before it, after a prompt of at
    least `cache` tokens."""
    slots = Slots(policy, cache)
    slots.fill(np.zeros((1, 1, prompt)))
    table = np.zeros((steps, cache + 1), dtype=np.int64)
    for row in table:
        slots.take()
        row[:] = slots.positions[0, 0]
        slots.settle(np.zeros((1, 1, slots.tokens)))
    return table
