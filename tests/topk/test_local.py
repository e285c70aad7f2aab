"""LocalTopK: every row leaves with exactly the largest probabilities marked, ragged rows, ties, rate and latency."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.give_back import ratio
from spatten_hw.sim.golden.mass import mass_counts
from spatten_hw.sim.golden.topk import topk_mask
from spatten_hw.sim.harness.block import Block
from spatten_hw.topk.local import LocalTopK
from tests.seeds import numbers

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=12, max_tokens=64, sram_tokens=16, topk_lanes=8, channels=2,
                     axi_data_bits=64, max_heads=4, max_group=2, slots=2, operand_bits=8)
BUILDS = {
    "parts": TINY,
    "line rate": TINY.replace(topk="linerate", topk_lanes=4),
    "one slice": TINY.replace(multipliers=4, channels=1, max_tokens=16, topk_lanes=4),
    "queued": TINY.replace(multipliers=4, channels=1, max_tokens=256, topk="linerate", topk_lanes=4),
    "one row": TINY.replace(multipliers=32, max_tokens=8, sram_tokens=8, topk="linerate", decision_rules=0),
}


@cache
def block_of(name: str) -> Block:
    return Block(LocalTopK, BUILDS[name])


def live_rows(rng: np.random.Generator, c: SpAttenConfig, n: int, ragged: bool) -> np.ndarray:
    """Bool [rows, S]: which slices have a key in each row; slice s has one in rows 0 … keys − 1."""
    keys = np.array([(n - s + c.slices - 1) // c.slices for s in range(c.slices)])
    if ragged:
        keys = rng.integers(0, c.max_rows + 1, c.slices)
        keys[rng.integers(0, c.slices)] = max(1, int(keys.max()))
    return np.arange(keys.max())[:, None] < keys


def like_a_softmax(rng: np.random.Generator, probs: np.ndarray) -> np.ndarray:
    """Probabilities that sum to about 4096, some vectors of zeros but for a few."""
    if rng.random() < 0.15:
        return (rng.random(probs.shape) < 0.1).astype(np.int64)
    real = np.exp(rng.normal(size=probs.shape) * rng.choice([0.2, 2, 5]))
    scaled = np.minimum(4095, np.rint(4096 * real / real.sum())).astype(np.int64)
    return scaled if rng.random() < 0.5 else scaled // 5 * 5


def run(block: Block, rng: np.random.Generator, lives: list[np.ndarray], keep: int, stall_in: float = 0.0,
        stall_out: float = 0.0, share: int = 0, back: int = 0, stall_ratio: float = 0.0
        ) -> tuple[np.ndarray, np.ndarray]:
    """`share`, `back`: the job's `mass_share`, `give_back`."""
    c = block.component.config
    live = np.concatenate(lives)
    rows = np.array([len(v) for v in lives])
    spread = int(rng.choice([2, 6, 4096]))
    probs = rng.integers(0, spread, live.shape)
    if rng.random() < 0.3:
        probs[:] = rng.integers(0, 4096)
    vector = np.repeat(np.arange(len(lives)), rows)
    if share or back:
        for number, shape in enumerate(lives):
            mine = np.zeros(shape.shape, dtype=np.int64)
            mine[shape] = like_a_softmax(rng, mine[shape])
            probs[vector == number] = mine
    probs[~live] = 0
    row = np.concatenate([np.arange(n) for n in rows])
    tags = {"head": rng.integers(0, c.max_heads, len(lives)), "query": rng.integers(0, c.max_tokens, len(lives)),
            "stream": rng.integers(0, 2, len(lives)), "item": rng.integers(0, c.items, len(lives))}
    weights = 1 << np.arange(c.slices)
    last = (row == rows[vector] - 1).astype(int)
    tag = {name: values[vector] for name, values in tags.items()}
    block.set(job={"keep_values": keep, "mass_share": share, "give_back": back})
    block.idle(3)
    seed = int(rng.integers(1, 1000))
    if c.decision_rules:
        block.receive("ratio", stall=stall_ratio, seed=seed + 2)
    block.receive("kept", stall=stall_out, seed=seed)
    block.send("probs", {"probs": probs, "live": live @ weights, "last": last, "tag": tag}, stall=stall_in,
               seed=seed + 1)
    engine = block.component.engine
    work = sum(engine.most_cycles(int(v.sum()), -(-len(v) // block.component.wide)) + len(v) for v in lives)
    if share:
        work += sum(len(v) + 60 for v in lives)
    work += 40 * back * len(lives) / (1 - stall_ratio)
    block.run(int((work + 400) * 1.5 / (1 - stall_in) / (1 - stall_out)), kept=len(live),
              **({"ratio": len(lives)} if back else {}))
    block.idle(4)
    assert block.get("busy") == 0
    want = np.zeros(live.shape, dtype=bool)
    for number, shape in enumerate(lives):
        mine = vector == number
        kept = np.zeros(shape.shape, dtype=bool)
        count = max(1, keep)
        if share:
            count = min(count, int(mass_counts(probs[mine][shape], share)))
        kept[shape] = topk_mask(probs[mine][shape], count)
        want[mine] = kept
    got = block.taken("kept").columns()
    assert np.array_equal(got["kept"], want @ weights)
    assert np.array_equal(got["probs"], probs)
    assert np.array_equal(got["row"], row) and np.array_equal(got["last"], last)
    for name, values in tag.items():
        assert np.array_equal(got["tag"][name], values)
    if back:
        ratios = block.taken("ratio").columns()
        total, used = (np.array([p[vector == n].sum() for n in range(len(lives))]) for p in (probs, probs * want))
        assert np.array_equal(ratios["item"], tags["item"]) and np.array_equal(ratios["same"], total == used)
        differs = total != used
        assert np.array_equal(ratios["r"][differs], ratio(total, used)[differs])
    elif c.decision_rules:
        assert not block.taken("ratio").fired
    return block.taken("probs").cycles, block.taken("kept").cycles


@pytest.mark.parametrize("name", BUILDS)
def test_marks_the_largest(name):
    rng, block = numbers("local", name), block_of(name)
    c = block.component.config
    for turn in range(12):
        keep = int(rng.choice([0, 1, 2, 5, c.max_tokens // 2, c.max_tokens]))
        lengths = [1, c.max_tokens, c.max_tokens - 1, *rng.integers(1, c.max_tokens + 1, 12).tolist()]
        lives = [live_rows(rng, c, n, rng.random() < 0.5) for n in lengths]
        stalls = ((0.0, 0.0), (0.4, 0.3), (0.0, 0.8), (0.8, 0.0))[turn % 4]
        run(block, rng, lives, keep, *stalls)


@pytest.mark.parametrize("name", [name for name, c in BUILDS.items() if c.decision_rules])
def test_decision_rules(name):
    """By mass, the fewest that reach the share, or as many as are kept by count; the ratio of all to them."""
    rng, block = numbers("local rules", name), block_of(name)
    c = block.component.config
    for turn in range(16):
        keep = int(rng.choice([1, 2, 5, c.max_tokens // 2, c.max_tokens, c.max_tokens]))
        share, back = ((1, 0), (1, 1), (0, 1))[turn % 3]
        share *= int(rng.choice([1, 1000, 2500, 3686, 4096, rng.integers(1, 4097)]))
        lengths = [1, c.max_tokens, c.max_tokens - 1, *rng.integers(1, c.max_tokens + 1, 12).tolist(), *[1] * 20]
        lives = [live_rows(rng, c, n, rng.random() < 0.5) for n in lengths]
        stalls = ((0.0, 0.0), (0.4, 0.3), (0.0, 0.8), (0.8, 0.0))[turn % 4]
        run(block, rng, lives, keep, *stalls, share=share, back=back, stall_ratio=(0.0, 0.0, 0.9)[turn // 3 % 3])


@pytest.mark.parametrize("name", BUILDS)
def test_full_rate(name):
    """Where nothing is pruned, and at line rate always, a row enters and leaves in every cycle."""
    rng, block = numbers("local rate", name), block_of(name)
    c = block.component.config
    top = c.max_tokens
    lives = [live_rows(rng, c, n, False) for n in [top, 3, 1, 1, top, top - 1, 2, *[1] * 30, top, top, top, 5] * 3]
    for keep in (top, 3) if c.engine.name == "linerate" else (top,):
        came, left = run(block, rng, lives, keep)
        assert came[-1] - came[0] == len(came) - 1
        assert c.max_rows > 1 or left[-1] - left[0] == len(left) - 1


@pytest.mark.parametrize("name", ["line rate", "queued", "one row"])
def test_latency(name):
    rng, block = numbers("local latency", name), block_of(name)
    c = block.component.config
    for n in (1, c.max_tokens // 2, c.max_tokens):
        live = live_rows(rng, c, n, False)
        came, left = run(block, rng, [live], 3)
        assert left[0] - came[0] == block.component.latency(n, len(live))
        assert left[-1] - left[0] == len(live) - 1


@pytest.mark.parametrize("name", ["parts", "line rate"])
def test_output_stops(name):
    """As many rows wait as there is room for when next to nothing is taken, and nothing is lost."""
    rng, block = numbers("local stop", name), block_of(name)
    c = block.component.config
    lives = [live_rows(rng, c, c.max_tokens, False) for _ in range(40)]
    live = np.concatenate(lives)
    block.receive("kept", stall=0.999)
    block.send("probs", {"probs": np.ones(live.shape, dtype=int), "live": live @ (1 << np.arange(c.slices)),
                         "last": np.tile(np.arange(c.max_rows) == c.max_rows - 1, 40).astype(int)})
    block.set(job={"keep_values": 2})
    inside = []
    for _ in range(20):
        block.idle(100)
        inside.append(block.taken("probs").fired - block.taken("kept").fired)
    # The memory but for one place; the register in front, the cut behind, the filter's stages and its buffer.
    assert max(inside) == block.component.depth - 1 + (1 + 2 + 3 + 2)
    assert block.taken("probs").fired < len(live)
    assert block.get("busy") == 1
    block.reset()
    run(block, rng, lives, 2)
