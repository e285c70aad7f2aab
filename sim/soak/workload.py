"""Random cascades for a build: both stages, grouped queries, masks, widths, pruning of all three kinds."""

from __future__ import annotations

import random

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.shape import longest_prompt

#: Longest workload unless the caller says otherwise.
MOST_TOKENS = 64


def bit_settings(config: SpAttenConfig) -> list[list[int]]:
    """[msb, lsb] of K and V that fit the build: all five progressive settings, and static widths."""
    progressive = [[msb, 4] for msb in (4, 6, 8, 10, 12) if msb + 4 <= config.operand_bits]
    return progressive * 2 + [[bits, 0] for bits in (4, 6, 8, 10, 12, 14, 16) if bits <= config.operand_bits]


def random_workload(rng: random.Random, config: SpAttenConfig, most_tokens: int = MOST_TOKENS, bulk: bool = False, *,
                    most_heads: int | None = None, stage: str | None = None) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and job of a random cascade (`spatten_hw.host.workload`) of at most `most_tokens` tokens. `bulk`: a prompt
    of that length and of all heads, for many queries. `most_heads`: query heads, unless one group has more. `stage`:
    that one."""
    group = rng.choice([1, 1, min(2, config.max_group), config.max_group])
    heads = rng.randint(1, max(1, min(config.max_heads, most_heads or config.max_heads) // group))
    layers, dim = rng.randint(1, 4), rng.choice(config.dims)
    generate = rng.random() < 0.5
    if stage is not None:
        generate = stage == "generate"
    if bulk:
        heads, generate, layers = max(1, config.max_heads // group), False, 4
    most = min(config.max_tokens, most_tokens)
    if not generate:
        most = min(most, longest_prompt(config, dim))
    tokens = rng.choice([1, 2, rng.randint(1, most), rng.randint(1, most), most])
    tokens = most if bulk else min(tokens, most)
    queries = rng.randint(1, min(3, tokens)) if generate else tokens
    numbers = np.random.default_rng(rng.randrange(2**32))
    spread = rng.choice([0.3, 1, 3])
    arrays = {
        "q": numbers.normal(size=(layers, heads * group, queries, dim)) * spread,
        "k": numbers.normal(size=(layers, heads, tokens, dim)) * spread,
        "v": numbers.normal(size=(layers, heads, tokens, dim)),
    }
    k_bits = rng.choice(bit_settings(config))
    job: dict = {
        "stage": "generate" if generate else "summarise", "k_bits": k_bits,
        "v_bits": rng.choice([k_bits, rng.choice(bit_settings(config))]),
        "q_bits": rng.choice([b for b in (4, 6, 8, 10, 12, 14, 16) if b <= config.operand_bits]),
        "threshold": rng.choice([0.0, 0.1, 0.3, 1.0]) if k_bits[1] else 0.0,
    }
    alive = tokens - queries + 1 if generate else tokens
    if not generate:
        job["mask"] = rng.choice(["none", "causal", rng.randint(1, tokens)])
        alive = job["mask"] if isinstance(job["mask"], int) else alive
    if rng.random() < 0.7:
        job["keep_tokens"] = falling(rng, alive, layers)
        job["keep_heads"] = falling(rng, heads, layers)
        least = min(n for n in [*job["keep_tokens"], alive] if n)
        job["protect_first"], job["protect_last"] = rng.randint(0, least // 2), rng.randint(0, least // 2)
    if rng.random() < 0.6:
        job["keep_values"] = [rng.randint(1, tokens) for _ in range(layers)]
    return arrays, job


def random_rules(rng: random.Random, job: dict) -> dict:
    """The job with some of the decision rules beside the paper's."""
    rules: dict = {}
    if job["stage"] == "generate" and job["k_bits"][1] and rng.random() < 0.8:
        rules |= {"lsb_margin": rng.choice([0, 0.5, 2, 5, 22]), "threshold": rng.choice([0.1, 0.3, 1.0, 1.0])}
    if rng.random() < 0.7:
        rules["keep_mass"] = rng.choice([0.01, 0.3, 0.6, 0.9, 0.99, 1])
    if rng.random() < 0.6:
        rules["give_back"] = True
    return job | rules


def random_queries(rng: random.Random, arrays: dict[str, np.ndarray], job: dict) -> tuple[dict[str, np.ndarray], dict]:
    """A workload of generation with more queries, several of them in each job (a build with `chunk_queries`)."""
    layers, heads, _, dim = arrays["q"].shape
    tokens = arrays["k"].shape[2]
    queries = rng.choice([tokens, rng.randint(1, tokens), rng.randint(1, min(tokens, 12))])
    queries = min(queries, 24)
    per_job = rng.choice([queries, rng.randint(1, queries), rng.randint(1, queries)])
    numbers = np.random.default_rng(rng.randrange(2**32))
    spread = max(0.1, float(np.std(arrays["q"])))
    arrays = arrays | {"q": numbers.normal(size=(layers, heads, queries, dim)) * spread}
    job = {name: value for name, value in job.items() if not name.startswith("protect_") and name != "keep_tokens"}
    job["queries"] = per_job
    first = tokens - queries + per_job
    if first > per_job and rng.random() < 0.7:
        job["keep_tokens"] = [n if n is None else max(n, per_job) for n in falling(rng, first, layers)]
        least = min(n for n in [*job["keep_tokens"], first] if n)
        job["protect_last"] = rng.randint(per_job, least)
        job["protect_first"] = rng.randint(0, least - job["protect_last"])
    return arrays, job


def falling(rng: random.Random, start: int, layers: int) -> list[int | None]:
    """Keep counts that fall layer by layer, now and then "all"."""
    counts: list[int | None] = []
    for _ in range(layers):
        start = rng.randint(max(1, start // 2), start)
        counts.append(start if rng.random() < 0.8 else None)
    return counts


def hard_values(rng: random.Random, arrays: dict[str, np.ndarray], job: dict) -> str:
    """Changes the values of some workloads to what is hardest on ties and ranges; says how, or "normal".

    "ties": all tokens alike; "few values": integers of a few codes, most of them the extremes; "zero": no Q; "peak":
    one key far above the rest; "scores": importance to start from.
    """
    kind = rng.choice(["normal"] * 6 + ["ties", "few values", "zero", "peak", "scores"])
    numbers = np.random.default_rng(rng.randrange(2**32))
    tokens = arrays["k"].shape[2]
    if kind == "ties":
        arrays["k"][...] = arrays["k"][:, :, :1]
        if rng.random() < 0.5:
            arrays["v"][...] = arrays["v"][:, :, :1]
    elif kind == "few values":
        bits = {"q": job["q_bits"], "k": sum(job["k_bits"]), "v": sum(job["v_bits"])}
        for name, width in bits.items():
            low, high = -(1 << width - 1), (1 << width - 1) - 1
            arrays[name] = numbers.choice([low, low, high, high, 0, -1, 1], size=arrays[name].shape)
    elif kind == "zero":
        arrays["q"][...] = 0.0
    elif kind == "peak":
        arrays["k"][:, :, rng.randrange(tokens)] *= 8
    elif kind == "scores":
        arrays["token_scores"] = np.asarray(numbers.integers(0, 1 << 12, size=tokens)) / 4096
        arrays["head_scores"] = np.asarray(numbers.random(size=arrays["k"].shape[1]))
    return kind
