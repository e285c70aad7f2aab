"""An engine whose outputs are not the golden model's, for tests that must notice."""

from __future__ import annotations

from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.models.engines import GoldenEngine, Task


class WrongEngine(GoldenEngine):
    """The first output of every job is one too large."""

    def __call__(self, task: Task) -> LayerResult:
        result = super().__call__(task)
        result.out[0, 0, 0] += 1
        return result
