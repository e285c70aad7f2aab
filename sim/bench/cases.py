"""The standard cases of `bench attention`: shapes, and how near to the bound each is meant to come."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatten_hw.config import LSB_WIDTH, PROB_BITS, SpAttenConfig
from spatten_hw.host.rules import BY_KEY, PAPER, Rules
from spatten_hw.host.shape import longest_prompt

from .operands import BenchPlan, quantise, widest

#: Heads of a layer, as BERT-Base and GPT-2-Small have them.
HEADS = 12
#: Contexts from here on are long.
LONG = 4096
#: The longest head dimension of the cases.
DIM = 64


@dataclass(frozen=True)
class Target:
    """What is wanted of a figure of a case: "roof" (part of the roof reached, at least), "ratio" (cycles / roof, at
    most) or "per item" (cycles per query of a head, at most)."""

    figure: str
    limit: float

    def reached(self, cycles: float, roof: float, items: int) -> float:
        """The figure."""
        return {"roof": roof / cycles, "ratio": cycles / roof, "per item": cycles / items}[self.figure]

    def met(self, value: float) -> bool:
        return value >= self.limit if self.figure == "roof" else value <= self.limit

    def show(self, value: float) -> str:
        """A value of the figure for the table."""
        return {"roof": f"{100 * value:.1f} %", "ratio": f"{value:.3f}", "per item": f"{value:.1f}"}[self.figure]

    @property
    def text(self) -> str:
        return {"roof": f"≥ {100 * self.limit:g} % of roof", "ratio": f"≤ {self.limit:g} × roof",
                "per item": f"≤ {self.limit:g} per query"}[self.figure]


@dataclass(frozen=True)
class Case:
    """One layer of `heads` heads over `tokens` tokens; `keep`: values kept per query, 0 for all. `alive`: so many
    tokens survive, at random; 0 for all. `group`: query heads to a K/V head. `rules`: decision rules; with LSBs by key,
    K has four of its bits in them, and every query is flat. `queries`: of generation, the newest tokens; 0: one.

    `steady`: what one more head takes, from two runs of different numbers of heads.
    """

    name: str
    tokens: int
    dim: int
    bits: int
    keep: int = 0
    alive: int = 0
    group: int = 1
    queries: int = 0
    generate: bool = False
    causal: bool = False
    steady: bool = False
    heads: int = HEADS
    target: Target | None = None
    rules: Rules = PAPER

    @property
    def shape(self) -> str:
        """The sizes in words."""
        heads = f"{self.heads} heads" + (f" on {self.heads // self.group}" if self.group > 1 else "")
        parts = [f"{'n' if self.generate else 'L'}={self.tokens} D={self.dim}", f"{self.bits} bit",
                 f"keep {self.keep}" if self.keep else "keep all", heads]
        if self.queries:
            parts.insert(1, f"{self.queries} queries")
        if self.alive:
            parts.insert(1, f"{self.alive} alive")
        if self.rules.keep_mass:
            parts[-2] = f"keep {self.rules.keep_mass:g} of mass"
        if self.rules.lsb_margin is not None:
            parts[-3] = f"{self.bits - LSB_WIDTH} + {LSB_WIDTH} bit by key"
        return ", ".join(parts)

    def shrunk(self, tokens: int) -> Case:
        """The case over at most so many tokens, without a target."""
        tokens = min(tokens, self.tokens)
        keep, alive, queries = (count and max(1, count * tokens // self.tokens)
                                for count in (self.keep, self.alive, self.queries))
        return replace(self, tokens=tokens, keep=keep, alive=alive, queries=queries, target=None)

    def fits(self, c: SpAttenConfig) -> str | None:
        """What the build lacks for it, or None."""
        room = c.max_tokens if self.generate else min(c.max_tokens, longest_prompt(c, self.dim))
        if self.tokens > room:
            return f"{self.tokens} tokens, '{c.name}' takes {room} of dim {self.dim}"
        if self.heads > c.max_heads:
            return f"{self.heads} heads, '{c.name}' has max_heads = {c.max_heads}"
        if self.group > c.max_group:
            return f"groups of {self.group}, '{c.name}' has max_group = {c.max_group}"
        if self.rules != PAPER and not c.decision_rules:
            return f"decision rules, '{c.name}' has decision_rules = 0"
        return "two numbers of heads" if self.steady and c.max_heads < 2 else None

    def head_counts(self, c: SpAttenConfig) -> tuple[int, ...]:
        """Heads of the runs it takes: one, or two whose difference is the steady state."""
        if not self.steady:
            return (self.heads,)
        # Enough heads that what waits at a layer's end waits in the shorter run, too.
        more = min(4 * self.heads, c.max_heads)
        return more // 2, more

    def plan(self, c: SpAttenConfig, heads: int) -> BenchPlan:
        """The layer with random operands: scores spread like those of real attention, N(0, 1)."""
        plan = BenchPlan(c)
        bits = (self.bits, 0)
        by_key = self.rules.lsb_margin is not None
        k_bits = (self.bits - LSB_WIDTH, LSB_WIDTH) if by_key else bits
        pool = plan.pool(heads // self.group, self.tokens, self.dim, k_bits, bits)
        ids = np.sort(np.random.default_rng(2).choice(self.tokens, self.alive, False)) if self.alive else None
        rows = (self.queries or 1) if self.generate else self.tokens
        q_bits = widest(12, c)
        q, scales = quantise(plan.normal(heads, rows, self.dim), q_bits)
        plan.add(pool, q, scales, q_bits, self.tokens, ids=ids, group=self.group, label=f"{heads} heads",
                 generate=int(self.generate), queries=self.queries,
                 causal=int(self.causal or self.queries > 0), keep_values=self.keep or self.tokens, rules=self.rules,
                 threshold=by_key << PROB_BITS)
        return plan


def standard_cases(c: SpAttenConfig, *, heads: int | None = None, quick: bool = False) -> list[Case]:
    """The cases for a build: its largest D up to 64, contexts that it holds, 12 bits or what it has.

    `quick`: the same paths at sizes that take seconds on a tiny build, without targets.
    """
    dim = max((d for d in c.dims if d <= DIM), default=c.chunk)
    half = max((d for d in c.dims if d <= DIM // 2), default=c.chunk)
    wide, narrow = widest(12, c), widest(8, c)
    count = heads or (min(4, c.max_heads) if quick else HEADS)
    long, short, prompt, context, few = (32, 16, 24, 64, 12) if quick else (384, 128, 512, 1000, 102)
    if context > c.max_tokens and not quick:
        context = 500
    layer, steady = Target("ratio", 1.06), Target("roof", 0.97)
    cases = [
        Case("summarise-384-all", long, dim, wide, target=Target("roof", 0.99)),
        Case("summarise-384-half", long, dim, wide, keep=long // 2, target=Target("roof", 0.99)),
        Case("summarise-128", short, dim, wide, target=Target("roof", 0.98)),
        Case("summarise-384-pruned", long, dim, wide, alive=200 * long // 384, target=Target("roof", 0.95)),
        Case("causal-512", prompt, dim, wide, causal=True, target=Target("roof", 0.99)),
        Case(f"generate-{1000 if quick else context}", context, dim, narrow, keep=context // 5, generate=True,
             target=layer),
        Case(f"generate-{1000 if quick else context}-steady", context, dim, narrow, keep=context // 5, generate=True,
             steady=True, target=steady),
        Case("generate-102", few, dim, narrow, keep=few // 5, generate=True, target=Target("ratio", 1.7)),
        Case("generate-102-steady", few, dim, narrow, keep=few // 5, generate=True, steady=True),
    ]
    if c.decision_rules:
        cases += [
            Case("summarise-384-mass", long, dim, wide, rules=Rules(keep_mass=0.9, give_back=True)),
            *([Case(f"generate-{1000 if quick else context}-by-key", context, dim, narrow, generate=True, rules=BY_KEY),
               Case(f"generate-{1000 if quick else context}-by-key-steady", context, dim, narrow, generate=True,
                    rules=BY_KEY, steady=True, target=Target("ratio", 1.15))]
              if narrow == 2 * LSB_WIDTH else []),
        ]
    cases += long_cases(c, dim, narrow, quick)
    if half != dim:
        cases.insert(3, Case("summarise-128-d32", short, half, wide, target=Target("roof", 0.98)))
    if quick:
        room = longest_prompt(c, dim)
        cases = [x.shrunk(min(c.max_tokens, x.tokens if x.generate else room)) for x in cases]
    # Jobs of several queries are of one K/V head, whatever `heads` says: they are long enough.
    return [case if case.queries else replace(case, heads=count) for case in cases]


def long_cases(c: SpAttenConfig, dim: int, bits: int, quick: bool) -> list[Case]:
    """Of builds for a longer context than the presets', and for several queries at once: groups of three, as SmolLM2
    has them, where the build takes them."""
    cases = []
    long = 96 if quick else c.max_tokens
    if c.max_tokens >= LONG:
        cases += [Case(f"generate-{c.max_tokens}", long, dim, bits, keep=long // 5, generate=True),
                  Case(f"generate-{c.max_tokens}-steady", long, dim, bits, keep=long // 5, generate=True, steady=True)]
    if c.chunk_queries:
        group = min(3, c.max_group)
        prompt = long if quick else min(c.max_tokens, 2 * longest_prompt(c, dim))
        shape = Case("", long, dim, bits, group=group, heads=group, generate=True)
        cases += [replace(shape, name=f"queries-16-on-{c.max_tokens}", queries=min(16, long)),
                  replace(shape, name=f"prompt-{prompt}-in-blocks", tokens=prompt, queries=prompt)]
    return cases
