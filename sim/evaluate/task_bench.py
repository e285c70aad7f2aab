"""The language model under a point on tasks of long context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.models.llama.model import Llama

from .language import LanguageBench
from .tasks import DIGITS, TASKS, Encoder

#: Where in the text it is said.
DEPTHS = (0.02, 0.15, 0.3, 0.45, 0.6, 0.75, 0.85, 0.95)


@dataclass
class TaskBench(LanguageBench):
    """Windows are prompts with their answers, `names` [windows] the task of each. All but the last token of a question
    is the prompt."""

    names: tuple[str, ...] = ()

    def accuracy(self, losses: np.ndarray, right: np.ndarray) -> dict[str, object]:
        """`exact`: part of the answers all of whose tokens are right, over all, by task, and by task and depth
        (`DEPTHS`)."""
        whole, names = np.asarray(right.all(axis=1)), np.array(self.names)
        return {**super().accuracy(losses, right), "exact": float(whole.mean()),
                "by_task": {name: float(whole[names == name].mean()) for name in TASKS},
                "by_depth": {name: whole[names == name].reshape(len(DEPTHS), -1).mean(axis=1).tolist()
                             for name in TASKS}}


def task_bench(model: Llama, config: SpAttenConfig, tokens: Encoder, haystack: np.ndarray, context: int, each: int
               ) -> TaskBench:
    """`each` prompts at every depth of every task, `context` tokens long with their answers; seeded."""
    windows, names = [], []
    for number, (name, task) in enumerate(TASKS.items()):
        for place, depth in enumerate(DEPTHS):
            for i in range(each):
                rng = np.random.default_rng([number, place, i])
                windows.append(task(tokens, haystack, context - DIGITS, depth, rng))
                names.append(name)
    return TaskBench(model, config, np.stack(windows), context - DIGITS - 1, tuple(names))
