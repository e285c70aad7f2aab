"""Bytes asked for against bytes moved: counts made by hand, and what packing costs on every bus."""

from pathlib import Path

import numpy as np
import pytest

from spatten_hw.host.layout import Arena, channel_of, logical_of, pairs_save, row_bytes
from spatten_hw.presets import EIGHTH, FULL, SMALL
from spatten_hw.sim.bench.memory_side import sustained
from spatten_hw.sim.bench.operands import BenchPlan
from spatten_hw.sim.bench.traffic import Traffic, bursts, dense_bytes, dense_reads
from spatten_hw.sim.dram.timing import HBM2
from spatten_hw.sim.golden.fetch import plane_beats, row_beats, row_bursts
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
    """At most 10 % where rows are whole beats, dense and at 30 % kept, for every head of a plane."""
    tokens, heads, nbytes = 501, 3, row_bytes(dim, bits)
    plane = Arena(config, base=1 << 16).plane(heads, tokens, nbytes)
    for ids in (np.arange(tokens), np.sort(np.random.default_rng(1).choice(tokens, 150, replace=False))):
        moved = sum(plane_beats(plane.base, h, plane.head_stride, ids, plane.token_stride, dim, bits, config)
                    for h in range(heads)) * config.beat_bytes
        over = moved / (heads * len(ids) * nbytes)
        if nbytes % config.beat_bytes:
            assert over == pytest.approx(EXCEPTIONS[config.beat_bytes, dim, bits])
        else:
            assert over <= 1.1


@pytest.mark.parametrize(("dim", "bits"), [(d, b) for beat, d, b in EXCEPTIONS if beat == 32])
def test_over_fetch_of_pairs(dim, bits):
    """What `full` reads of two heads side by side, against the table of docs/layout.md."""
    row = row_bytes(dim, bits)
    plane = Arena(FULL, base=1 << 16).plane(2, 501, row, pair=True)
    read = row_beats(plane.address(0, np.arange(501)), 2 * row, FULL) * 32
    apart = 2 * round(row * EXCEPTIONS[32, dim, bits])
    assert len(set(read.tolist())) == 1 and pairs_save(FULL, 2, dim, bits) == (read[0] < apart)
    page = (Path(__file__).parents[2] / "docs" / "layout.md").read_text()
    assert (f"| {dim} | {bits} | {row} | {apart} | {read[0]} | {apart / (2 * row):.2f} | {read[0] / (2 * row):.2f} |"
            in page)


def test_exceptions_are_listed_and_no_others():
    found = {(c.beat_bytes, dim, bits) for c in (SMALL, EIGHTH, FULL) for dim in (32, 64, 128)
             for bits in (4, 6, 8, 10, 12) if row_bytes(dim, bits) % c.beat_bytes}
    assert found == set(EXCEPTIONS)
    page = (Path(__file__).parents[2] / "docs" / "layout.md").read_text()
    for (beat, dim, bits), over in EXCEPTIONS.items():
        row = row_bytes(dim, bits)
        assert f"| {beat} | {dim} | {bits} | {row} | {round(row * over)} | {over:.2f} |" in page


@pytest.mark.parametrize("config", [QUAD, WIDE, FULL], ids=lambda c: c.name)
def test_bursts_are_those_the_fetcher_makes(config):
    rng = np.random.default_rng(3)
    for nbytes in (1, 16, 24, 48, 96, 256):
        rows = rng.integers(0, 1 << 16, 50)
        reads = bursts(rows, nbytes, config)
        assert sum(len(r) for r in reads) == row_bursts(rows, nbytes, config).sum()
        assert sum(int(r[:, 1].sum()) for r in reads) == row_beats(rows, nbytes, config).sum() * config.beat_bytes
        for channel, r in enumerate(reads):
            logical = logical_of(channel, r[:, 0], config)
            assert np.array_equal(channel_of(logical, config)[0], np.full(len(r), channel))
            assert np.all(r[:, 0] % config.interleave_bytes + r[:, 1] <= config.interleave_bytes)
            covered = (logical[:, None] < rows + nbytes) & (rows < (logical + r[:, 1])[:, None])
            assert covered.any(axis=1).all()


def plan_of(config, tokens, ids=None, *, pairs=False, **options):
    plan = BenchPlan(config)
    pool = plan.pool(2, tokens, 16, (6, 4), (6, 4), generate=pairs)
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


def test_pairs_are_asked_for_row_by_row():
    """The same with K's rows in pairs: as much asked for, three beats where four were read; V as before."""
    plan = plan_of(QUAD, 21, np.array([0, 3, 4, 9, 20]), pairs=True, generate=1, keep_values=2, threshold=4096)
    alone = plan_of(QUAD, 21, np.array([0, 3, 4, 9, 20]), generate=1, keep_values=2, threshold=4096)
    assert plan.jobs[0].pair == 1 and alone.jobs[0].pair == 0
    results, other = golden_results(plan, QUAD), golden_results(alone, QUAD)
    t, u = Traffic.of(plan.jobs, results), Traffic.of(alone.jobs, other)
    assert t.asked == u.asked and t.over_fetch("k_msb") == 1 and t.over_fetch("v_msb") == 16 / 12
    assert t.bus["k_msb"] == 5 * 24 and {**t.bus, "k_msb": 2 * 5 * 16} == u.bus
    assert np.array_equal(results[0].out, other[0].out)


@pytest.mark.parametrize(("dim", "bits", "pair"), [(64, 6, 1), (64, 8, 0), (64, 10, 1), (64, 12, 0), (128, 6, 0)])
def test_pools_of_generation_use_pairs_where_they_save(dim, bits, pair):
    for heads, generate in ((3, True), (1, True), (3, False)):
        pool = BenchPlan(FULL).pool(heads, 8, dim, (bits, 0), (bits, 0), generate=generate)
        assert pool.planes["k_msb"].pair == (pair and generate and heads > 1) and not pool.planes["v_msb"].pair


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
    """Bank groups and pseudo-channels below the column, banks above it: best for dense and for pruned rows."""
    rng = np.random.default_rng(1)
    channel, group, column, bank = HBM2.mapping
    orders = {"model": HBM2.mapping, "bank first": (channel, group, bank, column),
              "group last": (channel, column, bank, group), "column first": (column, channel, group, bank)}
    for keep, bits in ((1000, 12), (300, 8)):
        arena, heads, ids = Arena(FULL), 8, np.sort(rng.choice(1000, keep, replace=False))
        k, v = (arena.plane(heads, 1000, row_bytes(64, bits)) for _ in range(2))
        # K rows of a head beside V rows of the one before.
        rows = [np.stack([k.address(h, ids), v.address(h - 1, ids)], axis=1).reshape(-1) for h in range(1, heads)]
        reads = bursts(np.concatenate(rows), row_bytes(64, bits), FULL)
        cycles = {name: sustained(reads, HBM2.replace(mapping=order), FULL, queue=None)
                  for name, order in orders.items()}
        assert min(cycles, key=cycles.__getitem__) == "model", cycles
        assert max(cycles.values()) > 1.08 * cycles["model"]
