"""Random cascades for calibration and checks: what a build is used for, over its whole range of shapes.

A seed gives a preset and a workload of one to four layers: half of them generation (one or two steps), half prompts.
Sizes are drawn evenly on a logarithmic scale, from sixteen tokens to what the build holds; prompts are cut to what
simulates in seconds.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.plan import Plan
from spatten_hw.host.shape import longest_prompt
from spatten_hw.host.workload import make_workload
from spatten_hw.presets import PRESETS

#: Cycles of Q×K that a prompt's layer may take, by preset: some seconds of simulation for the whole workload.
LONGEST = {"small": 150_000, "eighth": 60_000, "full": 25_000}
#: Fewest tokens.
LEAST = 16


def preset_of(seed: int) -> str:
    """The preset of a seed: they take turns."""
    return list(PRESETS)[seed % len(PRESETS)]


def draw_plan(seed: int) -> Plan:
    """The jobs of a seed, always the same."""
    c = PRESETS[preset_of(seed)]
    rng = random.Random(f"estimate {seed}")
    arrays, job = (_generation if rng.random() < 0.5 else _prompt)(rng, c)
    plan = Plan(make_workload(arrays, job, f"seed {seed}"), c)
    if rng.random() < 0.5:
        # As a host that needs no state: the accelerator keeps it from job to job.
        plan.passes = [replace(p, job=p.job.replace(store_ids=0, store_scores=0)) for p in plan.passes]
    return plan


def _evenly(rng: random.Random, least: float, most: float) -> int:
    """A whole number, evenly on a logarithmic scale."""
    return round(least * (most / least) ** rng.random())


def _generation(rng: random.Random, c: SpAttenConfig) -> tuple[dict[str, np.ndarray], dict]:
    tokens, dim = _evenly(rng, LEAST, c.max_tokens - 4), rng.choice(c.dims)
    group = rng.choice([1, 1, 1, 2, min(3, c.max_group), c.max_group])
    heads = max(1, _evenly(rng, 2, min(48, c.max_heads)) // group)
    steps, layers = rng.randint(1, 2), rng.randint(1, 4)
    job = _precision(rng, c) | _pruning(rng, tokens - steps + 1, heads, layers) | {"stage": "generate"}
    if c.decision_rules and rng.random() < 0.25:
        job |= _rules(rng, job)
    return _operands(rng, layers, heads, group, steps, tokens, dim), job


def _prompt(rng: random.Random, c: SpAttenConfig) -> tuple[dict[str, np.ndarray], dict]:
    dim = rng.choice(c.dims)
    tokens = _evenly(rng, LEAST, min(c.max_tokens, longest_prompt(c, dim), 512))
    group = rng.choice([1, 1, 1, 2])
    per_head = tokens * -(-tokens // c.slices) * dim // c.chunk
    most = max(group, min(16, c.max_heads, LONGEST[c.name] // per_head))
    heads = max(1, _evenly(rng, min(2, most), most) // group)
    layers = rng.randint(1, 3)
    mask = rng.choice(["none", "none", "causal"])
    job = (_precision(rng, c) | _pruning(rng, tokens, heads, layers) | {"stage": "summarise", "mask": mask})
    if c.decision_rules and rng.random() < 0.15:
        job |= {"keep_mass": rng.choice([0.6, 0.9]), "give_back": rng.random() < 0.5}
    return _operands(rng, layers, heads, group, tokens, tokens, dim), job


def _operands(rng: random.Random, layers: int, heads: int, group: int, queries: int, tokens: int,
              dim: int) -> dict[str, np.ndarray]:
    numbers, spread = np.random.default_rng(rng.randrange(2**32)), rng.choice([0.5, 1, 2])
    return {"q": numbers.normal(size=(layers, heads * group, queries, dim)) * spread,
            "k": numbers.normal(size=(layers, heads, tokens, dim)),
            "v": numbers.normal(size=(layers, heads, tokens, dim))}


def _precision(rng: random.Random, c: SpAttenConfig) -> dict:
    """Widths: static ones, or MSBs and LSBs with a threshold that makes few, some or all rows flat."""
    wide = [b for b in (4, 6, 8, 8, 10, 12, 12) if b <= c.operand_bits]
    if rng.random() < 0.5:
        k_bits = [rng.choice(wide), 0]
        return {"q_bits": rng.choice([8, 12]), "k_bits": k_bits, "v_bits": [rng.choice(wide), 0]}
    k_bits = [rng.choice([4, 6, 8]), 4]
    v_bits = rng.choice([k_bits, k_bits, [rng.choice(wide), 0]])
    return {"q_bits": rng.choice([8, 12]), "k_bits": k_bits, "v_bits": v_bits,
            "threshold": rng.choice([0.02, 0.1, 0.1, 0.3, 1.0])}


def _pruning(rng: random.Random, tokens: int, heads: int, layers: int) -> dict:
    """Tokens and heads that stay from layer to layer, values of every layer."""
    job: dict = {}
    if rng.random() < 0.6:
        shares = sorted((rng.uniform(0.2, 1) for _ in range(layers)), reverse=True)
        job["keep_tokens"] = [max(1, round(tokens * s)) if rng.random() < 0.8 else None for s in shares]
    if rng.random() < 0.4:
        job["keep_heads"] = [None] + [max(1, round(heads * s)) for s in sorted(
            (rng.uniform(0.5, 1) for _ in range(layers - 1)), reverse=True)]
    if rng.random() < 0.7:
        share = rng.uniform(0.1, 0.8)
        job["keep_values"] = [max(1, round(tokens * share))] * layers
    return job


def _rules(rng: random.Random, job: dict) -> dict:
    """Decision rules beside the paper's."""
    rules: dict = {}
    if job["k_bits"][1]:
        rules |= {"lsb_margin": rng.choice([1, 3, 6]), "threshold": rng.choice([0.3, 1.0])}
    if rng.random() < 0.6:
        rules["keep_mass"] = rng.choice([0.6, 0.9, 0.97])
    if rng.random() < 0.5:
        rules["give_back"] = True
    return rules
