"""Pruner against the golden Cascade: random cascades, saved state, illegal state, rates."""

import cocotb
import numpy as np
import pytest

from spatten_hw.prune.cascade import FINISH_CYCLES, PREPARE_CYCLES
from spatten_hw.prune.pruner import Pruner
from spatten_hw.prune.rows import layer_sum_bits
from spatten_hw.sim.golden.cascade import Cascade
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.stream.layouts import head_sum

from .builds import JOB, pack_job, tiny
from .rig import STREAMS_IN, Rig


def _keeps(rng, alive, limit):
    return rng.choice([rng.randint(1, max(1, alive)), max(1, alive - rng.randint(0, 3)), alive, limit])


@cocotb.test()
async def random_cascades(dut):
    for stall in (0.3, 0.0):
        rig = Rig(dut, stall)
        c, rng = rig.c, rig.rng
        await rig.start()
        for sequence in range(8):
            tokens, heads = rng.randint(1, c.max_tokens), rng.randint(1, c.max_heads)
            clear = int(sequence == 0 or rng.random() < 0.5)
            for layer in range(rng.randint(1, 5)):
                await rig.prepare(
                    tokens=tokens, heads=heads, restart=int(layer == 0), clear_scores=int(layer == 0 and clear),
                    keep_tokens=_keeps(rng, len(rig.golden.tokens_alive) if layer else tokens, c.max_tokens),
                    keep_heads=_keeps(rng, len(rig.golden.heads_alive) if layer else heads, c.max_heads),
                    protect_first=rng.choice([0, 0, 1, 3, c.max_tokens]),
                    protect_last=rng.choice([0, 0, 1, 2, c.max_tokens]),
                    store_ids=rng.randint(0, 1), store_scores=rng.randint(0, 1),
                    ids_out=0x1000, scores_out=0x2000)
                await rig.layer(rng.randint(0, 6), causal=rng.random() < 0.3, small=rng.random() < 0.5)


@cocotb.test()
async def two_sequences_by_save_and_load(dut):
    """Interleaved layer by layer through memory, equal to running each alone."""
    rig = Rig(dut)
    c = rig.c
    await rig.start()
    shapes = [(c.max_tokens, c.max_heads), (c.max_tokens // 2 + 1, 1)]
    alone = [Cascade(c), Cascade(c)]
    for layer in range(4):
        for s, (tokens, heads) in enumerate(shapes):
            base = 0x1000 * (s + 1)
            rig.golden = alone[s]
            await rig.prepare(
                tokens=tokens, heads=heads, restart=int(layer == 0), clear_scores=int(layer == 0),
                load_ids=int(layer > 0), load_scores=int(layer > 0), store_ids=1, store_scores=1,
                ids_in=base, ids_out=base, scores_in=base + 0x800, scores_out=base + 0x800,
                keep_tokens=max(1, tokens - 3 * layer), keep_heads=max(1, heads - layer), protect_first=1)
            await rig.layer(3)


@cocotb.test()
async def generation_grows_without_clearing(dut):
    """A step with one more token finds that token's total 0, also after a longer sequence was there."""
    rig = Rig(dut)
    c = rig.c
    await rig.start()
    await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, clear_scores=1)
    await rig.layer(2)
    rig.poke(0x3000, [7] * (c.max_tokens + c.max_heads))
    for step in range(5):
        tokens = c.max_tokens // 2 - 2 + step
        await rig.prepare(tokens=tokens, heads=1 + min(step, c.max_heads - 1), restart=1,
                          load_scores=int(step == 0), scores_in=0x3000, store_scores=1, scores_out=0x2000,
                          keep_tokens=tokens - 1, protect_last=1)
        await rig.layer(1)


@cocotb.test()
async def totals_saturate(dut):
    rig = Rig(dut)
    c, g = rig.c, rig.golden
    await rig.start()
    near = [g.token_max - rig.rng.choice([0, 1, 5000, 1 << 13]) for _ in range(c.max_tokens)]
    near[:2] = [(1 << 64) - 1, g.token_max + 1]
    near += [g.head_max - rig.rng.choice([0, 1, 1 << 17]) for _ in range(c.max_heads)]
    near[-1] = min((1 << 64) - 1, g.head_max + 1)
    rig.poke(0x3000, near)
    await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, load_scores=1, scores_in=0x3000,
                      store_scores=1, scores_out=0x2000)
    await rig.layer(4)
    await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, keep_tokens=5, keep_heads=1)


@cocotb.test()
async def layer_sums_hold_the_largest_layer(dut):
    """max_tokens queries of max_heads heads, all probabilities at their maximum: nothing wraps."""
    rig = Rig(dut, 0.0)
    c = rig.c
    assert 4095 * c.max_tokens * c.max_heads < 1 << layer_sum_bits(c)
    await rig.start()
    await rig.prepare(tokens=c.lanes, heads=1, restart=1, clear_scores=1, store_scores=1, scores_out=0x2000)
    vectors = c.max_tokens * c.max_heads
    sent = rig.bench.send("probs", rig.prob_rows([4095] * c.lanes) * vectors)
    await rig.bench.run(lambda: sent.at == vectors, vectors + 50)
    assert sent.cycles[-1] - sent.cycles[0] == vectors - 1, "the same row every cycle"
    rig.golden.finish(np.full(c.lanes, 4095 * vectors), np.zeros(1))
    await rig.finish()


@cocotb.test()
async def illegal_state_is_an_error(dut):
    rig = Rig(dut)
    c, rng = rig.c, rig.rng
    await rig.start()
    heads = min(3, c.max_heads)
    # With three heads two are alive; a build of one head has no more.
    alive = [1, 2] if heads == 3 else [0]
    job = {"tokens": 11, "heads": heads, "load_ids": 1, "ids_in": 0x1000, "clear_scores": 1}
    count = len(alive) << 32
    good = [4 | count, 0, 3, 7, 10, *alive]
    bad = [
        [0 | count, *good[1:]], [12 | count, *range(12), *alive], [4, *good[1:]],
        [4 | heads + 1 << 32, *good[1:], 3, 4], [good[0] | 1 << 63, *good[1:]], [good[0] | 1 << 31, *good[1:]],
        [*good[:2], 0, *good[3:]], [*good[:3], 2, *good[4:]], [*good[:4], 11, *alive],
        [*good[:4], 10 | 1 << 40, *alive], [*good[:-1], heads], [*good[:-1], alive[-1] | 1 << 63],
    ]
    if heads == 3:
        bad += [[*good[:5], 2, 1], [*good[:5], 1, 1]]
    assert (await rig.prepare(tokens=5, heads=1))[0] == 1, "continue after reset"
    for words in bad:
        rig.poke(0x1000, words)
        assert (await rig.prepare(**job))[0] == 1, words
        if rng.random() < 0.5:
            assert (await rig.prepare(tokens=11, heads=heads))[0] == 1, "continue after an error"
        rig.poke(0x1000, good)
        assert (await rig.prepare(**job))[0] == 0
        await rig.layer(1)
    # A continued cascade that does not fit the job.
    for tokens, fewer, wrong in ((11, 0, 0), (10, 0, 1), *([(11, 1, 1)] if heads == 3 else [])):
        await rig.prepare(**job)
        assert (await rig.prepare(tokens=tokens, heads=heads - fewer))[0] == wrong
    # AXI errors: header, id, head, token total, head total.
    for which, addr in (("ids", 0), ("ids", 2), ("ids", len(good) - 1), ("scores", 0), ("scores", 10 + heads)):
        rig.poke(0x2000, [5] * (11 + heads))
        rig.bad_words = {(0x1000 if which == "ids" else 0x2000) + 8 * addr}
        rig.job = JOB | job | {"load_scores": 1, "scores_in": 0x2000, "keep_tokens": 3, "keep_heads": heads}
        dut.job.value = pack_job(c, rig.job)
        assert (await rig.op(0))[0] == 1
        rig.golden.forget()
        await rig.check()
        rig.bad_words = set()
        assert (await rig.prepare(**job))[0] == 0
        await rig.layer(1)


@cocotb.test()
async def reset_in_the_middle_leaks_nothing(dut):
    rig = Rig(dut)
    c, rng = rig.c, rig.rng
    await rig.start()
    for _ in range(12):
        await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, clear_scores=1)
        await rig.layer(1)
        # Cut: in the vectors, in PREPARE with pruning, or in FINISH with stores.
        b = rig.bench
        b.send("probs", rig.prob_rows([4095] * c.max_tokens) * 2)
        b.send("head_sums", [(1 << head_sum(c)["sum"].width) - 1 << head_sum(c)["sum"].offset] * 9)
        await b.idle(rng.randint(2, 2 * c.max_rows))
        finish = rng.randint(0, 1)
        rig.job = JOB | {"tokens": c.max_tokens, "heads": c.max_heads, "restart": 1, "keep_tokens": 4,
                         "keep_heads": 1, "store_ids": 1, "store_scores": 1}
        dut.job.value = pack_job(c, rig.job)
        b.send("probs", [])
        b.send("head_sums", [])
        b.inputs["probs"].valid.value = 0
        b.inputs["head_sums"].valid.value = 0
        b.send("op", [finish])
        await b.idle(rng.randint(1, 40))
        for name in STREAMS_IN:
            b.send(name, [])
            b.inputs[name].valid.value = 0
        await b.reset()
        rig.streams()
        rig.golden = Cascade(c)
        # The next job sees zeros, even one that clears nothing.
        tokens = rng.randint(1, c.max_tokens)
        await rig.prepare(tokens=tokens, heads=c.max_heads, restart=1, clear_scores=rng.randint(0, 1),
                          store_ids=1, store_scores=1, ids_out=0x1000, scores_out=0x2000)
        await rig.layer(2)


@cocotb.test()
async def cycles_are_as_stated(dut):
    rig = Rig(dut, 0.0)
    c = rig.c
    await rig.start()
    for tokens in (1, c.lanes, c.max_tokens - 1, c.max_tokens):
        rows = -(-tokens // c.lanes)
        _, cycles = await rig.prepare(tokens=tokens, heads=1, restart=1, clear_scores=1)
        assert cycles == PREPARE_CYCLES
        zeroing = rows + 1
        assert await rig.layer(2) == FINISH_CYCLES + zeroing + rows
        _, cycles = await rig.prepare(tokens=tokens, heads=1)
        assert cycles == PREPARE_CYCLES
        if tokens > 1:
            _, cycles = await rig.prepare(tokens=tokens, heads=1, keep_tokens=tokens // 2)
            dut._log.info(f"prune {tokens} to {tokens // 2}, L = {c.lanes}, P = {c.topk_lanes}: {cycles} cycles")
            assert cycles > PREPARE_CYCLES + rows
            before = rig.golden.tokens_alive
            merge = await rig.layer(1)
            cost = [np.bincount(before[a:a + c.lanes] % c.lanes).max() for a in range(0, len(before), c.lanes)]
            assert merge == FINISH_CYCLES + sum(cost)


BUILDS = [
    {"lanes": 1, "tokens": 16, "heads": 1, "data_bits": 32},
    {"lanes": 2, "tokens": 64, "heads": 5, "topk_lanes": 4, "data_bits": 64},
    {"lanes": 4, "tokens": 32, "heads": 6, "topk_lanes": 4, "data_bits": 128},
    {"lanes": 4, "tokens": 16, "heads": 40, "topk_lanes": 16, "data_bits": 256},
]


@pytest.mark.parametrize("build", BUILDS, ids=lambda b: f"L{b['lanes']}-n{b['tokens']}-{b['data_bits']}b")
def test_pruner(build):
    run_bench(Pruner(tiny(**build)), __name__, params=build)
