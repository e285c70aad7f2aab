"""What is kept of a job on slots: as long as the cache, however long the text is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatten_hw.sim.models.decoder.attention import PassResult
from spatten_hw.sim.models.decoder.session import Trace


@dataclass(frozen=True)
class SlotTrace(Trace):
    """A trace whose importance is by slot; `positions` int32: which token each slot in use held."""

    positions: np.ndarray

    @property
    def by_position(self) -> PassResult:
        alive, given = np.zeros(self.tokens, dtype=bool), np.zeros(self.tokens)
        alive[self.positions], given[self.positions] = True, self.result.token_importance
        return replace(self.result, tokens_alive=alive, token_importance=given)
