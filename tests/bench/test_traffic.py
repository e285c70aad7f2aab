"""Bytes asked for against bytes moved: counts made by hand, and what packing costs on every bus."""

import numpy as np
import pytest

from spatten_hw.host.layout import Arena
from spatten_hw.host.rows import row_beats, row_bytes
from spatten_hw.presets import EIGHTH, FULL, SMALL
from spatten_hw.sim.bench.memory_side import sustained
from spatten_hw.sim.bench.operands import BenchPlan
from spatten_hw.sim.bench.traffic import Traffic, bursts, dense_bytes, dense_reads
from spatten_hw.sim.dram.timing import HBM2
from spatten_hw.sim.golden.integer_engine import golden_results
from tests.integration.builds import QUAD, WIDE

#: Rows that are not whole beats: what a byte asked for costs on the bus. Everything else costs nothing
#: (docs/layout.md).
EXCEPTIONS = {
    # 32-byte beats (full, eighth)
    (32, 32, 4): 32 / 16, (32, 32, 6): 32 / 24, (32, 32, 10): 64 / 40, (32, 32, 12): 64 / 48,
    (32, 64, 6): 64 / 48, (32, 64, 10): 96 / 80,
}


@pytest.mark.parametrize("config", [SMALL, EIGHTH, FULL], ids=lambda c: c.name)
@pytest.mark.parametrize("dim", [32, 64, 128])
@pytest.mark.parametrize("bits", [4, 6, 8, 10, 12])
def test_over_fetch(config, dim, bits):
    """Nothing where rows are whole beats, else what the last beat of a row is short of."""
    nbytes, beats = row_bytes(dim, bits), row_beats(dim, bits, config)
    assert beats * config.beat_bytes / nbytes == pytest.approx(EXCEPTIONS.get((config.beat_bytes, dim, bits), 1))


@pytest.mark.parametrize("config", [QUAD, WIDE, FULL], ids=lambda c: c.name)
def test_reads_are_whole_rows_cut_at_pages(config):
    rng = np.random.default_rng(3)
    beat = config.beat_bytes
    for nbytes in (1, 16, 24, 48, 96, 256):
        channels, rows = rng.integers(0, config.channels, 50), rng.integers(0, (1 << 16) // beat, 50) * beat
        rows[:4] = 4096 - beat * np.arange(4)
        reads = bursts(channels, rows, nbytes, config)
        whole = -(-nbytes // beat) * beat
        for channel, r in enumerate(reads):
            assert np.all(r[:, 0] // 4096 == (r[:, 0] + r[:, 1] - 1) // 4096) and np.all(r[:, 1] > 0)
            got = [b for at, n in r.tolist() for b in range(at, at + n)]
            assert got == [b for at in rows[channels == channel].tolist() for b in range(at, at + whole)]


def plan_of(config, tokens, ids=None, **options):
    plan = BenchPlan(config)
    pool = plan.pool(2, tokens, 16, (6, 4), (6, 4))
    rows = 1 if options.get("generate") else tokens
    plan.add(pool, plan.random.integers(-100, 100, size=(2, rows, 16)), np.full(2, 0.01), 8, tokens, ids=ids, **options)
    return plan


def test_asked_bytes_by_hand():
    """Two heads of five survivors of 21 tokens, two values kept, every row flat; 12-byte rows on 8-byte beats."""
    plan = plan_of(QUAD, 21, np.array([0, 3, 4, 9, 20]), generate=1, keep_values=2, threshold=4096)
    t = Traffic.of(plan.jobs, golden_results(plan, QUAD))
    assert t.asked == {"q": 2 * 16, "k_msb": 2 * 5 * 12, "k_lsb": 2 * 5 * 8, "v_msb": 2 * 2 * 12, "v_lsb": 2 * 2 * 8}
    assert t.over_fetch("k_msb") == 16 / 12 and t.over_fetch("k_lsb") == 1
    assert t.over_fetch() == (32 + 160 + 80 + 64 + 32) / (32 + 120 + 80 + 48 + 32)
    assert t.dense == {12: 2 * (24 + 32) + 2 * 2 * 21 * 24, 16: 2 * (32 + 32) + 2 * 2 * 21 * 32}


def test_asked_bytes_of_a_prompt():
    plan = plan_of(QUAD, 10)
    t = Traffic.of(plan.jobs, golden_results(plan, QUAD))
    assert t.asked == {"q": 2 * 10 * 16, "k_msb": 2 * 10 * 12, "k_lsb": 0, "v_msb": 2 * 10 * 12, "v_lsb": 0}
    assert t.over_fetch("k_lsb") is None
    assert t.dense[12] == dense_bytes(plan.jobs[0], 12) == 2 * 10 * (24 + 32) + 2 * 2 * 10 * 24


def test_dense_reads_are_all_rows_of_some_heads():
    job = plan_of(QUAD, 21, generate=1).jobs[0]
    assert sum(int(r[:, 1].sum()) for r in dense_reads(job, 12, QUAD)) == 2 * 2 * 21 * 24
    wide = job.replace(heads=9, scales=job.scales[:1] * 9)
    assert sum(int(r[:, 1].sum()) for r in dense_reads(wide, 16, QUAD)) == 2 * 4 * 21 * 32


def test_what_a_controller_should_map_lowest():
    """Bank groups and pseudo-channels below the column, banks above it: among the best for dense and for pruned rows,
    each of which lies in two or three bursts of memory side by side."""
    rng = np.random.default_rng(1)
    channel, group, column, bank = HBM2.mapping
    orders = {"model": HBM2.mapping, "bank first": (channel, group, bank, column),
              "group last": (channel, column, bank, group), "column first": (column, channel, group, bank)}
    for keep, bits in ((1000, 12), (300, 8)):
        arena, heads, ids = Arena(FULL), 8, np.sort(rng.choice(1000, keep, replace=False))
        k, v = (arena.plane(heads, 1000, row_bytes(64, bits)) for _ in range(2))
        # K rows of a head beside V rows of the one before.
        places = [np.stack([f(k)(h, ids), f(v)(h - 1, ids)], axis=1).reshape(-1)
                  for f in (lambda p: p.channel, lambda p: p.address) for h in range(1, heads)]
        channels, rows = np.concatenate(places[:heads - 1]), np.concatenate(places[heads - 1:])
        reads = bursts(channels, rows, row_bytes(64, bits), FULL)
        cycles = {name: sustained(reads, HBM2.replace(mapping=order), FULL, queue=None)
                  for name, order in orders.items()}
        assert cycles["model"] <= 1.1 * min(cycles.values()), cycles
        assert max(cycles.values()) > 1.08 * cycles["model"], cycles
