"""The grid of the language model: widths and scales, then each rule from the best widths, then all together.

Q has 12 bits throughout: it is one row beside a thousand.
"""

from __future__ import annotations

from dataclasses import replace

from spatten_hw.sim.models.eviction.policy import EVICTIONS

from .point import UNROTATED, Point
from .series import Series

#: K in 8 bits and V in 4, a scale per channel each: what the rules start from.
BASE = Point("smollm2", (8, 0), q_bits=12, v_bits=(4, 0), k_scale="channel", v_scale="channel")
#: The same with the LSBs of K in a plane of their own, of which every row takes those of the keys near its maximum.
BY_KEY = replace(BASE, bits=(4, 4), threshold=1.0, lsb_margin=3.0)
#: The policy that `spatten-hw chat` has by default.
DEFAULT = replace(BY_KEY, keep_mass=0.95, give_back=True)
#: The paper's rules; as its schedules do, tokens are dropped behind the first 15 % of the layers.
PAPER = Point("smollm2", (4, 4), q_bits=8, v_bits=(8, 0), threshold=0.1, keep_tokens=(0.7, 0.7), keep_values=0.3,
              protect_last=32)

#: Tokens of a cache of half of the default context.
HALF = 512


def language_grid(quick: bool) -> list[Series]:
    """The series."""
    if quick:
        return [Series("static", (replace(PAPER, bits=(8, 0), q_bits=12, v_bits=None, threshold=0, keep_values=1.0,
                                          keep_tokens=(1.0, 1.0)), BASE)),
                Series("policies", (DEFAULT, PAPER), curve=False),
                Series("evicted", (replace(BASE, evict="snapkv", cache=HALF // 4),))]
    dense = Point("smollm2", (12, 0), q_bits=12)
    six, four = (replace(BASE, bits=(b, 0)) for b in (6, 4))
    return [
        Series("policies", (BASE, DEFAULT, *(replace(DEFAULT, keep_mass=m) for m in (0.9, 0.98)),
                            replace(DEFAULT, keep_mass=0.92, lsb_margin=2.0), PAPER), curve=False),
        Series("static, by head", (replace(dense, bits=(8, 0)), dense)),
        Series("evicted and rules", tuple(replace(DEFAULT, evict="snapkv", cache=n) for n in (HALF, HALF // 2))),
        Series("LSBs by key", (BY_KEY, replace(BY_KEY, lsb_margin=6.0))),
        Series("values", (replace(BASE, keep_mass=0.9, give_back=True), replace(BASE, keep_values=0.2),
                          replace(BASE, keep_values=0.2, give_back=True)), curve=False),
        Series("static, V in 4 bit", (BASE, six, four)),
        Series("LSBs by row", tuple(replace(BASE, bits=(4, 4), threshold=t) for t in (0.1, 0.3))),
        Series("K's scale", (*(replace(p, k_scale="pair") for p in (BASE, DEFAULT)),
                             *(replace(p, k_scale=scale) for p, scale in ((six, "head"), (six, UNROTATED),
                                                                          (four, UNROTATED)))), curve=False),
        Series("evicted", tuple(replace(BASE, evict=name, cache=HALF) for name in EVICTIONS), curve=False),
        Series("prompts quantised too", tuple(replace(p, prompt_here=True) for p in (BASE, DEFAULT)), curve=False),
    ]


def task_grid(context: int) -> list[Series]:
    """The series of tasks: widths, rules, and every policy of eviction with a half and a quarter of the context."""
    caches = (context // 2, context // 4)
    evicted = [Series(f"evicted to {n}", tuple(replace(BASE, evict=name, cache=n) for name in EVICTIONS), curve=False)
               for n in caches]
    return [Series("policies", (DEFAULT, PAPER, BASE), curve=False), *evicted,
            Series("evicted and rules", tuple(replace(DEFAULT, evict="snapkv", cache=n) for n in caches))]


def endless_grid(cache: int) -> list[Series]:
    """The series of a text without end: what goes by age alone, with scales that positions change and do not change."""
    points = (replace(DEFAULT, k_scale=scale) for scale in ("pair", "prompt"))
    return [Series("without end", tuple(replace(p, evict="streaming", cache=cache) for p in points), curve=False)]
