"""The tokens that are the queries of a generation job must survive: the pruner says so, for any survivors."""

import numpy as np
import pytest

from spatten_hw.sim.golden.cascade import to_bitmap
from tests.seeds import numbers

from .builds import tiny
from .rig import Rig

IDS = 0x1000


@pytest.mark.parametrize("slices", [1, 4, 8])
def test_queries_that_survive_and_that_do_not(slices):
    """Survivors loaded, pruned, and all of them; one of the last tokens gone, many, or a whole class."""
    rng, c = numbers("query tokens", slices), tiny(slices, chunk_queries=1)
    rig, seen = Rig(c, rng), {0: 0, 1: 0}
    for _ in range(60):
        tokens = int(rng.integers(1, c.max_tokens + 1))
        queries = int(rng.choice([1, tokens, rng.integers(1, tokens + 1)]))
        alive = rng.random(tokens) < rng.choice([0.3, 0.9, 1.0])
        kind = rng.integers(4)
        if kind != 0:
            alive[tokens - queries:] = True
        if kind == 2:
            alive[tokens - int(rng.integers(1, queries + 1))] = False
        ids = np.flatnonzero(alive)
        if not len(ids):
            continue
        rig.poke(IDS, [len(ids) | 1 << 32, *to_bitmap(ids, tokens), *to_bitmap([0], 1)])
        error, _ = rig.prepare(generate=1, tokens=tokens, heads=1, load_ids=1, ids_in=IDS, queries=queries)
        seen[error] += 1
        assert error == (not alive[tokens - queries:].all())
    assert min(seen.values()) > 5
    # Pruning keeps the protected ones; the check costs a row of the lists per cycle.
    tokens = c.max_tokens
    rig.prepare(generate=1, tokens=tokens, heads=1, restart=1, clear_scores=1)
    rig.layer(3)
    plain = rig.prepare(generate=1, tokens=tokens, heads=1, keep_tokens=tokens // 2, protect_last=4)
    again = rig.prepare(generate=1, tokens=tokens, heads=1, keep_tokens=tokens // 2, protect_last=4, queries=4)
    rows = max(np.bincount(rig.golden.tokens_alive % c.slices))
    assert plain[0] == again[0] == 0 and again[1] <= plain[1] + rows + 6
