"""One or two workloads as one queue of jobs: layers in turn, state stored and loaded between them, barriers.

Every job that another workload came before loads the state that its own one stored; others do now and then, though
the accelerator still has it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.outcome import LayerOutcome
from spatten_hw.host.plan import LayerPass, Plan, Write
from spatten_hw.host.words import WORD_BYTES
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.layer_result import LayerResult


class Sequences:
    """`Passes` (see `spatten_hw.host.plan`) of one or two plans in one arena. `moves`: share of jobs whose state is
    stored and loaded again without need. `features`: what it has that a single plan has not."""

    def __init__(self, plans: Sequence[Plan], rng: random.Random, moves: float, barriers: float):
        self.features: set[str] = set()
        self.passes: list[LayerPass] = []
        #: For every pass the one whose stored state it loads, if any.
        self.source: list[int | None] = []
        #: For every pass the plan and the pass of it.
        self._origin: list[tuple[Plan, LayerPass]] = []
        self._layers: list[tuple[Plan, int]] = []
        self._stored: dict[int, np.ndarray] = {}
        given = any(w.workload.token_scores is not None or w.workload.head_scores is not None for w in plans)
        assert not given or len(plans) == 1, "a workload that starts with scores comes alone"
        left = [list(p.passes) for p in plans]
        last: dict[int, int] = {}
        before = None
        while any(left):
            which = rng.choice([i for i, queue in enumerate(left) if queue])
            self._add(plans[which], f"workload {which + 1}", left[which].pop(0), last.get(which),
                      not given and which in last and (before != which or rng.random() < moves),
                      rng.random() < barriers, always=len(plans) > 1 or (moves > 0 and not given))
            last[which], before = len(self.passes) - 1, which

    def _add(self, plan: Plan, label: str, p: LayerPass, previous: int | None, load: bool, barrier: bool,
             always: bool) -> None:
        job = p.job
        changes: dict[str, int] = {"barrier": int(barrier)}
        if always:
            changes |= {"store_scores": 1, "scores_out": plan.arena.alloc(WORD_BYTES * (job.tokens + job.heads))}
        new_token = p.new_token
        if load:
            assert previous is not None
            other = self.passes[previous].job
            changes |= {"load_scores": 1, "scores_in": other.scores_out}
            if other.tokens != job.tokens:  # heads lie behind tokens: the host moves them
                changes["scores_in"] = plan.arena.alloc(WORD_BYTES * (job.tokens + job.heads))
                new_token = (other.tokens, (0,) * (job.tokens - other.tokens))
            if not job.restart:
                changes |= {"load_ids": 1, "ids_in": other.ids_out}
            self.features.add("state loaded")
        if barrier:
            self.features.add("barrier")
        if (plan, p.layer) not in self._layers:
            self._layers.append((plan, p.layer))
        layer = self._layers.index((plan, p.layer))
        self.source.append(previous if load else None)
        self._origin.append((plan, p))
        self.passes.append(LayerPass(
            p.step, layer, job.replace(**changes), p.descriptor, p.out, p.q, p.k, p.v, p.scores, new_token, None,
            f"{label}, {p.name}"))

    def layer_data(self, layer: int) -> Iterator[Write]:
        plan, number = self._layers[layer]
        return plan.layer_data(number)

    def note(self, outcome: LayerOutcome) -> None:
        """Keeps the scores that a pass of the hardware stored, for the passes that load them through the host."""
        if outcome.scores is not None:
            self._stored[id(outcome.layer_pass)] = outcome.scores

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None) -> np.ndarray | None:
        """The words that the host puts at scores_in before `p`; see `note`."""
        number = next(i for i, x in enumerate(self.passes) if x is p)
        source = self.source[number]
        return self._words(number, stored if source is None else self._stored[id(self.passes[source])])

    def _words(self, number: int, stored: np.ndarray | None) -> np.ndarray | None:
        """What the host writes before a pass, out of what its source (or the pass before) stored."""
        if self.source[number] is None:
            plan, p = self._origin[number]
            return plan.scores_to_load(p, stored)
        p = self.passes[number]
        if p.new_token is None:
            return None
        assert stored is not None
        heads = p.job.heads
        new = np.asarray(p.new_token[1], dtype=np.uint64).reshape(-1)
        return np.concatenate([stored[:-heads], new, stored[-heads:]])

    def golden(self, config: SpAttenConfig) -> list[LayerResult]:
        """What every pass leaves behind on the golden model."""
        accelerator = GoldenAccelerator(config)
        results: list[LayerResult] = []
        for number, (p, source) in enumerate(zip(self.passes, self.source, strict=True)):
            state = results[-1] if source is None and results else None if source is None else results[source]
            words = self._words(number, None if state is None else state.scores)
            ids = None
            if source is not None:
                ids = results[source].ids if p.job.load_ids else None
                words = results[source].scores if words is None else words
            results.append(accelerator.run(p.job, p.q, p.k, p.v, descriptor=p.descriptor, ids_in=ids, scores_in=words))
        return results
