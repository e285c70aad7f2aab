"""Tiny accelerators that between them take every path of the generator, and random workloads for them."""

from __future__ import annotations

import random

import numpy as np

from sim.harness.memory_options import HOSTILE
from sim.harness.transport import VerilatedTransport
from spatten_hw.config import SpAttenConfig

#: Four lanes, three head dimensions, two channels that interleave inside a row.
QUAD = SpAttenConfig(
    name="quad", multipliers=32, min_dim=8, max_dim=32, operand_bits=12, max_tokens=64, sram_tokens=32, max_heads=8,
    max_group=4, slots=4, topk_lanes=8, channels=2, axi_data_bits=64, axi_addr_bits=24, interleave_bytes=32,
    k_ports=4, v_ports=4, ids_per_port=4, job_queue=2)

#: One lane, one dimension, one narrow channel, two slots: the least of everything but context.
LEAST = SpAttenConfig(
    name="least", multipliers=8, min_dim=8, max_dim=8, operand_bits=8, max_tokens=8192, sram_tokens=16, max_heads=4,
    max_group=2, slots=2, topk_lanes=1, channels=1, axi_data_bits=32, axi_addr_bits=20, interleave_bytes=16,
    k_ports=1, v_ports=1, ids_per_port=2, job_queue=2)

#: 16-bit operands (10+4 and 12+4), wide beats, more channels than a row has beats, more ports than lanes; the other
#: top-k engine.
WIDE = SpAttenConfig(
    name="wide", multipliers=16, min_dim=8, max_dim=16, operand_bits=16, max_tokens=64, sram_tokens=64, max_heads=6,
    max_group=3, slots=8, topk_lanes=4, topk="linerate", channels=4, axi_data_bits=256, axi_addr_bits=20,
    interleave_bytes=32, k_ports=8, v_ports=2, ids_per_port=8, job_queue=4)

BUILDS = {c.name: c for c in (QUAD, LEAST, WIDE)}

#: Longest random workload; the longest context a build takes has a test of its own.
MOST_TOKENS = 64

#: Optimisation of the tests' simulations: compiling takes longer than running them.
OPTIMIZE = 0


def transport(config: SpAttenConfig, *, hostile: bool = False, seed: int = 1, **options) -> VerilatedTransport:
    """A fresh simulation of `config`; `hostile`: delays, stalls and disorder on every memory port."""
    unpleasant = HOSTILE | {"seed": seed} if hostile else {}
    return VerilatedTransport(config, **({"optimize": OPTIMIZE} | unpleasant | options))


def bit_settings(config: SpAttenConfig) -> list[list[int]]:
    """[msb, lsb] of K and V that fit the build: all five progressive settings, and static widths."""
    progressive = [[msb, 4] for msb in (4, 6, 8, 10, 12) if msb + 4 <= config.operand_bits]
    return progressive * 2 + [[bits, 0] for bits in (4, 6, 8, 10, 12, 14, 16) if bits <= config.operand_bits]


def random_workload(rng: random.Random, config: SpAttenConfig, *, most_tokens: int = MOST_TOKENS,
                    most_heads: int | None = None, stage: str | None = None) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and job of a random cascade: both stages (or `stage`), GQA, masks, widths, pruning of all three kinds.
    `most_heads`: query heads, unless one group has more."""
    group = rng.choice([1, 1, 2, config.max_group])
    heads = rng.randint(1, max(1, min(config.max_heads, most_heads or config.max_heads) // group))
    layers, dim = rng.randint(1, 4), rng.choice(config.dims)
    generate = rng.random() < 0.5
    if stage is not None:
        generate = stage == "generate"
    most = min(config.max_tokens, most_tokens)
    if not generate:
        most = min(most, config.sram_tokens * config.max_dim // dim)
    tokens = rng.choice([1, 2, rng.randint(1, most), rng.randint(1, most), most])
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


def falling(rng: random.Random, start: int, layers: int) -> list[int | None]:
    """Keep counts that fall layer by layer, now and then "all"."""
    counts: list[int | None] = []
    for _ in range(layers):
        start = rng.randint(max(1, start // 2), start)
        counts.append(start if rng.random() < 0.8 else None)
    return counts
