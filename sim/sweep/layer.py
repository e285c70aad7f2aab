"""A layer of a sweep: sizes, widths and policy settled, as random operands for the simulation and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.host.rules import PAPER, Rules
from spatten_hw.host.shape import LayerShape, Precision, shortfalls
from spatten_hw.sim.bench.cases import Case
from spatten_hw.sim.bench.memory_cases import THRESHOLD
from spatten_hw.sim.bench.operands import BenchPlan, Bits, quantise, widest
from spatten_hw.sim.bench.requests import Request, Shape
from spatten_hw.sim.bench.workload import query


@dataclass(frozen=True)
class Layer:
    """One layer of `heads` query heads, `group` to a K/V head. `alive`, `keep`: counts of tokens and of values per
    query; `flat`: share of the queries that take LSBs. `steady`: what one more head takes, as in `bench attention`."""

    name: str
    tokens: int
    dim: int
    heads: int
    group: int
    generate: bool
    causal: bool
    alive: int
    keep: int
    q_bits: int
    k_bits: Bits
    v_bits: Bits
    flat: float = 0.0
    rules: Rules = PAPER
    steady: bool = False

    @classmethod
    def of_case(cls, case: Case, c: SpAttenConfig) -> Layer:
        """A standard case, as `Case.plan` makes it."""
        by_key = case.rules.lsb_margin is not None
        k_bits = (case.bits - 4, 4) if by_key else (case.bits, 0)
        alive = case.alive or case.tokens
        return cls(case.name, case.tokens, case.dim, case.heads, case.group, case.generate, case.causal, alive,
                   min(case.keep or alive, alive), widest(12, c), k_bits, (case.bits, 0), float(by_key), case.rules,
                   case.steady)

    @property
    def as_json(self) -> dict[str, object]:
        """All that a result depends on."""
        return {name: value for name, value in asdict(self).items() if name != "name"}

    @property
    def queries(self) -> int:
        """Queries of a head."""
        return 1 if self.generate else self.alive

    def complaints(self, c: SpAttenConfig) -> Iterator[str]:
        """What contradicts the build, or itself."""
        if self.heads % self.group:
            yield f"heads = {self.heads}: must be a multiple of group = {self.group}"
        if self.generate and self.causal:
            yield "causal = true: is of prompts; leave it out with generate = true"
        shape = LayerShape(self.dim, self.heads // self.group, self.group)
        precision = Precision(self.q_bits, self.k_bits, self.v_bits, rules=self.rules)
        for lack in shortfalls(c, shape, precision, tokens=self.tokens, prompt=0 if self.generate else self.alive):
            has = lack.has if isinstance(lack.has, int) else ", ".join(map(str, lack.has))
            yield f"needs {lack.field} of {lack.need}, the build has {has}"
        for field, wrong, remedy in self.rules.broken(self.k_bits[1]):
            yield f"{field} {wrong}; {remedy}"
        if self.flat and not self.k_bits[1]:
            yield f'flat = {self.flat:g}: K has no LSBs to take; give bits such as "6+4"'
        if self.steady and c.max_heads < 2:
            yield "is the difference of two numbers of heads, the build has max_heads = 1"

    def not_simulated(self) -> str | None:
        """What keeps it from the simulation, or None."""
        if 0 < self.flat < 1 and not self.generate:
            return f"flat = {self.flat:g}: random prompts are simulated with 0 or 1 alone, all queries or none"
        return None

    def head_counts(self, c: SpAttenConfig) -> tuple[int, ...]:
        """Query heads of the runs it takes, as in `Case.head_counts`."""
        if not self.steady:
            return (self.heads,)
        more = min(4 * self.heads, c.max_heads)
        return more // 2, more

    def plan(self, c: SpAttenConfig, heads: int) -> BenchPlan:
        """The layer with random operands: scores N(0, 1), but where some queries are flat and others are not: those
        that are not attend to one key."""
        plan = BenchPlan(c)
        pool = plan.pool(heads // self.group, self.tokens, self.dim, self.k_bits, self.v_bits)
        some = self.alive < self.tokens
        ids = np.sort(np.random.default_rng(2).choice(self.tokens, self.alive, False)) if some else None
        threshold = round(self.flat) << PROB_BITS
        if 0 < self.flat < 1:
            threshold = THRESHOLD
            shape = Shape(self.dim, self.tokens, self.alive, self.keep, self.q_bits, self.k_bits, self.v_bits,
                          threshold)
            count = max(1, round(heads * self.flat))
            flat = {(2 * i + 1) * heads // (2 * count) for i in range(count)}
            keys = np.arange(self.tokens) if ids is None else ids
            rows = [query(plan, pool, h // self.group, keys, Request(h, shape, h in flat), self.name)
                    for h in range(heads)]
            q, scales = np.stack([codes for codes, _ in rows])[:, None], np.array([unit for _, unit in rows])
        else:
            q, scales = quantise(plan.normal(heads, 1 if self.generate else self.tokens, self.dim), self.q_bits)
        plan.add(pool, q, scales, self.q_bits, self.tokens, ids=ids, group=self.group, label=f"{heads} heads",
                 generate=int(self.generate), causal=int(self.causal), keep_values=self.keep, rules=self.rules,
                 threshold=threshold)
        return plan
