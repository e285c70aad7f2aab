"""Pruner against the golden Cascade: random cascades, saved state, illegal state, rates."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.prune.cascade import FINISH_CYCLES, MERGE_CYCLES, PREPARE_CYCLES
from spatten_hw.prune.serial_totals import ROW_CYCLES
from spatten_hw.sim.golden.cascade import bitmap_words
from tests.seeds import numbers

from .builds import tiny
from .rig import Rig

#: One slice; the usual, with head numbers of more bits than lanes; a row per word; heads of several words.
BUILDS = {"S1": tiny(1, tokens=16, heads=1, data_bits=32), "S4": tiny(4, tokens=64, heads=6, data_bits=128),
          "S8": tiny(8, tokens=8, heads=70, data_bits=256)}
#: Base address of a state: channel 1 where there is one.
IDS, SCORES = 0x1000, 0x4000


@cache
def compiled(name: str) -> Rig:
    return Rig(BUILDS[name], numbers("pruner", name))


@pytest.fixture(params=BUILDS)
def rig(request) -> Rig:
    rig = compiled(request.param)
    rig.rng = numbers(request.node.name)
    rig.stall = 0.0
    rig.block.reset()
    rig.renew()
    return rig


def _keeps(rng, alive: int, limit: int) -> int:
    return int(rng.choice([rng.integers(1, max(2, alive)), max(1, alive - rng.integers(0, 4)), alive, limit, 0]))


def _job(rig, **job):
    """A job that continues a cascade, or restarts one."""
    rng, c, g = rig.rng, rig.c, rig.golden
    tokens, heads = (job["tokens"], job["heads"]) if job.get("restart") else (len(g.tokens_alive), len(g.heads_alive))
    return job | {
        "generate": int(rng.random() < 0.6), "keep_tokens": _keeps(rng, tokens, c.max_tokens),
        "keep_heads": _keeps(rng, heads, c.max_heads), "ids_out": IDS, "scores_out": SCORES,
        "store_ids": int(rng.random() < 0.5), "store_scores": int(rng.random() < 0.5)}


def test_random_cascades(rig):
    c, rng = rig.c, rig.rng
    for stall in (0.3, 0.0):
        rig.stall = stall
        for sequence in range(16):
            tokens, heads = int(rng.integers(1, c.max_tokens + 1)), int(rng.integers(1, c.max_heads + 1))
            clear = int(sequence == 0 or rng.random() < 0.5)
            first, last = (int(rng.choice([0, 0, 1, 3, c.max_tokens])) for _ in range(2))
            shape = {"tokens": tokens, "heads": heads, "protect_first": first, "protect_last": last}
            following = {}
            for layer in range(int(rng.integers(1, 6))):
                if layer == 0:
                    rig.prepare(**_job(rig, **shape, restart=1, clear_scores=clear))
                else:
                    rig.prepare(**(_job(rig, **shape) if rng.random() < 0.3 else following))
                # Mostly the job that will follow is known.
                following = _job(rig, **shape)
                rig.hint(**(following if rng.random() < 0.8 else {}))
                rig.layer(int(rng.integers(0, 8)), causal=rng.random() < 0.5, most=int(rng.choice([2, 3, 50, 4096])))


def test_two_sequences_by_save_and_load(rig):
    """Interleaved layer by layer through memory, equal to running each alone; in the last channel."""
    c = rig.c
    rig.stall = 0.3
    top = (c.channels - 1) << c.axi_addr_bits
    shapes = [(c.max_tokens, c.max_heads), (c.max_tokens // 2 + 1, 1)]
    alone = [type(rig.golden)(c) for _ in shapes]
    for layer in range(4):
        for s, (tokens, heads) in enumerate(shapes):
            base = top + 0x2000 * (s + 1)
            rig.golden = alone[s]
            rig.prepare(
                tokens=tokens, heads=heads, restart=int(layer == 0), clear_scores=int(layer == 0), generate=layer % 2,
                load_ids=int(layer > 0), load_scores=int(layer > 0), store_ids=1, store_scores=1,
                ids_in=base, ids_out=base, scores_in=base + 0x800, scores_out=base + 0x800,
                keep_tokens=max(1, tokens - 3 * layer), keep_heads=max(1, heads - layer), protect_first=1)
            rig.layer(3)


def test_generation_grows_without_clearing(rig):
    """A step with one more token finds that token's total 0, also after a longer sequence was there."""
    c = rig.c
    rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, clear_scores=1, generate=1)
    rig.layer(2)
    rig.poke(SCORES, [7] * (c.max_tokens + c.max_heads))
    for step in range(5):
        tokens = c.max_tokens // 2 - 2 + step
        rig.prepare(tokens=tokens, heads=1 + min(step, c.max_heads - 1), restart=1, generate=1,
                    load_scores=int(step == 0), scores_in=SCORES, store_scores=1, scores_out=SCORES,
                    keep_tokens=tokens - 1, protect_last=1)
        rig.layer(1)


def test_totals_saturate(rig):
    c, g, rng = rig.c, rig.golden, rig.rng
    near = [g.token_max - int(rng.choice([0, 1, 5000, 1 << 13])) for _ in range(c.max_tokens)]
    near[:2] = [(1 << 64) - 1, g.token_max + 1]
    near += [g.head_max - int(rng.choice([0, 1, 1 << 17])) for _ in range(c.max_heads)]
    near[-1] = min((1 << 64) - 1, g.head_max + 1)
    rig.poke(SCORES, near)
    for generate in (0, 1):
        rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, load_scores=1, scores_in=SCORES,
                    store_scores=1, scores_out=0x8000, generate=generate)
        rig.layer(4)
        rig.prepare(tokens=c.max_tokens, heads=c.max_heads, keep_tokens=5, keep_heads=1, generate=generate)


def test_layer_sums_hold_the_largest_layer(rig):
    """Many queries, all probabilities at their maximum: nothing wraps, the same row every cycle."""
    c = rig.c
    assert 4095 * c.max_tokens * c.max_heads < 1 << c.token_score_bits
    rig.prepare(tokens=c.slices, heads=1, restart=1, clear_scores=1, store_scores=1, scores_out=SCORES)
    vectors = c.max_tokens * min(c.max_heads, 8)
    rig.block.send("probs", rig.prob_rows([np.full(c.slices, 4095)] * vectors, [0] * vectors))
    rig.block.run(vectors + 50, probs=vectors)
    assert rig.block.taken("probs").bubbles == 0
    rig.golden.finish(np.full(c.slices, 4095 * vectors), np.zeros(1))
    rig.finish()


def test_illegal_state_is_an_error(rig):
    c, rng = rig.c, rig.rng
    rig.stall = 0.2
    heads, tokens = min(3, c.max_heads), c.max_tokens - 3
    alive = 0b110 if heads == 3 else 1
    count = alive.bit_count() << 32
    bits = 0b1001 | 1 << tokens - 1
    job = {"tokens": tokens, "heads": heads, "load_ids": 1, "ids_in": IDS, "clear_scores": 1}
    good = [3 | count, bits, alive]
    bad = [[0 | count, *good[1:]], [4 | count, *good[1:]], [2 | count, *good[1:]], [3, *good[1:]],
           [good[0] | 1 << 63, *good[1:]], [good[0] | 1 << 31, *good[1:]], [tokens + 1 | count, *good[1:]],
           [4 | count, bits | 1 << tokens, alive], [4 | count, bits | 1 << 63, alive],
           [3 | count, bits ^ 1 | 1 << tokens, alive], [3 | count, bits ^ 1 | 1 << 63, alive],
           [good[0], bits, alive ^ (alive & -alive) | 1 << heads], [good[0], bits, alive ^ (alive & -alive) | 1 << 63],
           [good[0] + (1 << 32), *good[1:]]]
    assert rig.prepare(tokens=tokens, heads=1)[0] == 1, "continue after reset"
    for words in bad:
        rig.poke(IDS, words)
        assert rig.prepare(**job)[0] == 1, words
        if rng.random() < 0.5:
            assert rig.prepare(tokens=tokens, heads=heads)[0] == 1, "continue after an error"
        rig.poke(IDS, good)
        assert rig.prepare(**job)[0] == 0
        rig.layer(1)
    # A continued cascade that does not fit the job.
    for tokens_now, fewer, wrong in ((tokens, 0, 0), (tokens - 1, 0, 1), *([(tokens, 1, 1)] if heads == 3 else [])):
        rig.prepare(**job)
        assert rig.prepare(tokens=tokens_now, heads=heads - fewer)[0] == wrong
    rig.prepare(tokens=tokens, heads=heads, restart=1)
    assert rig.prepare(tokens=tokens - 1, heads=heads)[0] == 1
    # Whatever the class of the last survivor.
    for last in range(max(1, tokens - c.slices), tokens):
        rig.poke(IDS, [2 | count, 1 | 1 << last, alive])
        rig.prepare(**job)
        assert rig.prepare(tokens=last + 1, heads=heads)[0] == 0
        assert rig.prepare(tokens=last, heads=heads)[0] == 1
    # AXI errors: header, tokens, heads, token total, head total.
    for which, at in (("ids", 0), ("ids", 1), ("ids", 2), ("scores", 0), ("scores", tokens - 1 + heads)):
        rig.poke(SCORES, [5] * (tokens + heads))
        rig.bad = {(IDS if which == "ids" else SCORES) + 8 * at}
        assert rig.prepare(**job, load_scores=1, scores_in=SCORES, keep_tokens=2)[0] == 1
        rig.bad = set()
        assert rig.prepare(**job)[0] == 0
        rig.layer(1)


def test_reset_in_the_middle_leaks_nothing(rig):
    c, rng, b = rig.c, rig.rng, rig.block
    for _ in range(12):
        generate = int(rng.integers(0, 2))
        rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, clear_scores=1, generate=generate)
        rig.layer(1)
        # Cut: in the vectors, then in PREPARE with pruning or in FINISH with stores.
        rig.job |= {"restart": 1, "keep_tokens": 4, "keep_heads": 1, "store_ids": 1, "store_scores": 1}
        b.send("probs", rig.prob_rows([np.full(len(rig.golden.tokens_alive), 4095)] * 2, [0] * 2))
        b.idle(int(rng.integers(2, 2 * c.max_rows + 1)))
        b.set(job=rig.job)
        b.send("op", [int(rng.integers(0, 2))], at=[b.cycle + 2 * c.max_rows + 10])
        b.idle(2 * c.max_rows + 10 + int(rng.integers(1, 60)))
        b.reset()
        rig.renew()
        # The next job sees zeros, even one that clears nothing.
        rig.prepare(tokens=int(rng.integers(1, c.max_tokens + 1)), heads=c.max_heads, restart=1,
                    clear_scores=int(rng.integers(0, 2)), store_ids=1, store_scores=1, ids_out=IDS, scores_out=SCORES,
                    generate=int(rng.integers(0, 2)))
        rig.layer(2)


def test_cycles_are_as_stated(rig):
    c = rig.c
    for generate in (0, 1):
        for tokens in (1, c.slices, c.max_tokens - 1, c.max_tokens):
            rows = -(-tokens // c.slices)
            # Totals are zeroed beside the rest, but token pruning needs them.
            cycles = rig.prepare(tokens=tokens, heads=1, restart=1, clear_scores=1, generate=generate)[1]
            assert cycles == PREPARE_CYCLES
            merging = 0 if generate else MERGE_CYCLES + tokens + rows * ROW_CYCLES
            assert rig.layer(2, settle=20) == FINISH_CYCLES + merging
            assert rig.prepare(tokens=tokens, heads=1, generate=generate)[1] == PREPARE_CYCLES
            if tokens > 1:
                cycles = rig.prepare(tokens=tokens, heads=1, keep_tokens=tokens // 2, generate=generate)[1]
                print(f"prune {tokens} to {tokens // 2}, S = {c.slices}, generate {generate}: {cycles} cycles")
                assert cycles <= PREPARE_CYCLES + (13 * generate + 14 * (1 - generate)) * (rows + 25) + tokens


@pytest.mark.parametrize("kind", ["uniform", "sink"])
def test_a_known_next_job_saves_passes(kind):
    """The candidates are found while vectors arrive, and are still there after the survivors have been stored."""
    rig, rng = compiled("S4"), numbers("known", kind)
    rig.rng, c = rng, rig.c
    rig.block.reset()
    rig.renew()
    rig.stall = 0.0
    taken = {0: [], 1: []}
    for known in (1, 0):
        for _ in range(3):
            job = {"tokens": c.max_tokens, "heads": c.max_heads, "generate": 1, "store_ids": 1, "ids_out": IDS}
            rig.prepare(**job, restart=1, clear_scores=1)
            for keep in (c.max_tokens * 3 // 4, c.max_tokens // 2, c.max_tokens // 3):
                following = job | {"keep_tokens": keep, "protect_first": 1, "protect_last": 1}
                # Another number is kept than was said, or just that.
                rig.hint(**(following if known else following | {"keep_tokens": keep - 1}))
                rows = -(-len(rig.golden.tokens_alive) // c.slices)
                alive = len(rig.golden.tokens_alive)
                total = np.zeros(alive, dtype=np.int64)
                for head in range(12):
                    p = rng.pareto(1.5, alive) if kind == "sink" else rng.random(alive)
                    p[0] += p.sum() * (kind == "sink")
                    vector = (p / p.sum() * 4095).astype(np.int64)
                    probs = rig.prob_rows([vector], [head % c.max_heads])
                    rig.block.send("probs", probs)
                    rig.block.run(200, probs=len(probs))
                    rig.block.idle(int(rng.integers(0, 20)))
                    total += vector
                rig.golden.finish(total, np.zeros(c.max_heads, dtype=np.int64))
                rig.finish()
                cycles = rig.prepare(**following)[1]
                taken[known].append(cycles - PREPARE_CYCLES - 2 * rows)
    print(kind, taken)
    # Two passes fewer at least, mostly.
    assert np.median(taken[1]) <= 35 and np.median(taken[0]) >= np.median(taken[1]) + 15
    assert max(taken[0] + taken[1]) <= 110


def test_loads_keep_their_rates(rig):
    """Importance: one word per cycle; bitmaps: one row of S bits per cycle, and a cycle more per word."""
    c = rig.c
    rig.poke(SCORES, rig.rng.integers(0, 1 << 20, c.max_tokens + c.max_heads))
    rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, load_scores=1, scores_in=SCORES)
    assert rig.block.taken("state_words").bubbles == 0
    rig.poke(IDS, [1 | 1 << 32, 1, *[0] * (bitmap_words(c.max_tokens) - 1), 1, *[0] * (bitmap_words(c.max_heads) - 1)])
    rig.prepare(tokens=c.max_tokens, heads=c.max_heads, load_ids=1, ids_in=IDS)
    words = rig.block.taken("state_words").cycles
    assert np.diff(words).tolist()[1:] == [64 // c.slices + 1] * (len(words) - 2)
