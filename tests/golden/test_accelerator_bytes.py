"""The golden accelerator's bytes: each against arithmetic on the rows it must read and write."""


import numpy as np
import pytest

from spatten_hw import PRESETS
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.interface.descriptor import scale_command_words
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.batch_bytes import Traffic
from spatten_hw.sim.golden.fetch import row_beats

from .passes import WIDE, arrays, golden


def test_bytes_of_dense_summarisation():
    """Rows of 16 × 12 bits are 24 bytes: three beats of 8, aligned; every row is read once per use."""
    _, _, run = golden(arrays(17, layers=1), {})
    b = run.outputs.bytes
    assert b["q"] == 4 * 12 * 24 and b["k_msb"] == b["v_msb"] == 2 * 12 * 24
    assert b["out"] == 4 * 12 * 32 and b["k_lsb"] == b["v_lsb"] == 0
    # Descriptor, alive list out, scores out.
    assert b["other"] == 8 * (21 + 2 * 4) + 8 * (1 + 12 + 2) + 8 * (12 + 2)


def test_bytes_of_flat_rows():
    job = {"k_bits": [8, 4], "v_bits": [8, 4], "threshold": 1.0, "mask": "causal", "keep_values": [5]}
    _, _, run = golden(arrays(18, layers=1), job)
    b = run.outputs.bytes
    lengths, kept = sum(range(1, 13)), sum(min(5, n) for n in range(1, 13))
    assert b["k_msb"] == 2 * 12 * 16 and b["k_lsb"] == 4 * lengths * 8
    assert b["v_msb"] == 2 * 12 * 16 + 4 * kept * 16 and b["v_lsb"] == 4 * kept * 8


def test_bytes_of_generation():
    """K rows once per K/V head for its whole group, V rows only those kept, per query head."""
    job = {"stage": "generate", "keep_values": [3], "keep_tokens": [8], "k_bits": [8, 4], "v_bits": [8, 4]}
    a = arrays(19, layers=1, queries=1)
    _, _, few = golden(a, job)
    assert few.outputs.bytes["k_msb"] == 2 * 8 * 16 and few.outputs.bytes["v_msb"] == 4 * 3 * 16
    assert few.outputs.bytes["q"] == 4 * 24 and few.outputs.bytes["v_lsb"] == 0
    _, _, all_flat = golden(a, job | {"threshold": 1.0})
    b = all_flat.outputs.bytes
    assert b["k_msb"] == 2 * 8 * 16 and b["k_lsb"] == 4 * 8 * 8
    assert b["v_msb"] == 4 * 3 * 16 and b["v_lsb"] == 4 * 3 * 8


def paired(heads, job=None, **change):
    """A generation step over rows of 6 bits, D = 16: 12 bytes, two beats of 8 alone, three for a pair."""
    a = arrays(21, layers=1, heads=heads, kv=heads, queries=1) | change
    return golden(a, {"stage": "generate", "k_bits": 6, "v_bits": 6} | (job or {}))


@pytest.mark.parametrize(("heads", "per_token"), [(1, 16), (2, 24), (3, 24 + 16), (4, 48)])
def test_bytes_of_pairs(heads, per_token):
    """Two heads of a token are read at once; the last of an odd number alone."""
    _, plan, run = paired(heads)
    result, = run.results
    assert plan.passes[0].job.pair == (heads > 1)
    assert result.bytes["k_msb"] == 12 * per_token and result.bytes["v_msb"] == heads * 12 * 16
    assert result.rows["k_msb"] == heads * 12


@pytest.mark.parametrize(("scores", "keep", "per_token"), [
    ([1.0, 0, 0, 0], 1, 16),            # bytes 0 … 11 of a pair
    ([0, 1.0, 0, 0], 1, 16),            # bytes 12 … 23: the second beat and the third
    ([2.0, 1.0, 0, 0], 2, 24), ([0, 2.0, 1.0, 0], 2, 32), ([0, 2.0, 1.0, 3.0], 3, 16 + 24)], ids=str)
def test_bytes_of_pairs_that_lost_a_head(scores, keep, per_token):
    """The partner of a pruned head is read alone; five tokens."""
    _, _, run = paired(4, {"keep_heads": [keep], "keep_tokens": [5]}, head_scores=np.array(scores))
    result, = run.results
    assert np.flatnonzero(result.heads_alive).tolist() == [h for h, s in enumerate(scores) if s]
    assert result.bytes["k_msb"] == 5 * per_token and result.rows["k_msb"] == 5 * keep


def test_a_lone_row_of_a_pair_may_take_a_beat_more():
    """Rows of 4 bytes share a beat; rows of 10 lie in bytes 0 … 9 and 10 … 19."""
    for dim, bits, both, first, second in ((8, 4, 8, 8, 8), (8, 10, 24, 16, 16), (16, 10, 40, 24, 24)):
        a = arrays(22, layers=1, heads=2, kv=2, queries=1, dim=dim)
        for scores, keep, want in (([1.0, 1.0], 2, both), ([1.0, 0], 1, first), ([0, 1.0], 1, second)):
            _, _, run = golden(a | {"head_scores": np.array(scores)},
                               {"stage": "generate", "k_bits": bits, "keep_heads": [keep]})
            assert run.outputs.bytes["k_msb"] == 12 * want, (dim, bits, scores)


def test_pairs_change_bytes_alone():
    """The same operands with and without pairs, progressive: all but K's bytes is equal."""
    job = {"k_bits": [6, 4], "v_bits": [6, 4], "threshold": 0.3, "keep_values": [4], "keep_tokens": [9]}
    _, plan, run = paired(4, job)
    p, (result,) = plan.passes[0], run.results
    assert p.job.pair
    alone = GoldenAccelerator(WIDE).run(p.job.replace(pair=0, k_msb_token_stride=16, k_msb_head_stride=12 * 16),
                                        p.q, p.k, p.v, descriptor=p.descriptor)
    assert np.array_equal(alone.out, result.out) and np.array_equal(alone.scores, result.scores)
    assert result.bytes["k_msb"] == 9 * 48 and alone.bytes == result.bytes | {"k_msb": 9 * 64}
    assert alone.rows == result.rows and result.bytes["k_lsb"] > 0


def test_summarisation_reads_rows_of_pairs_alone():
    """A prompt over paired planes: legal, every row by itself. Bytes 0 … 11 and 12 … 23 are two beats each."""
    _, plan, run = golden(arrays(23, layers=1, heads=2), {"k_bits": 6, "v_bits": 6})
    p = plan.passes[0]
    assert not p.job.pair and run.outputs.bytes["k_msb"] == 2 * 12 * 16
    job = p.job.replace(pair=1, group=1, heads=2, scales=p.job.scales[:2], k_msb_token_stride=24)
    result = GoldenAccelerator(WIDE).run(job, p.q[:2], p.k, p.v)
    assert result.bytes["k_msb"] == 2 * 12 * 16 and result.rows["k_msb"] == 2 * 12
    # Tight at 20 bytes the second head's 12 … 23 begin at 12 + 20 t: three beats every other token.
    tight = GoldenAccelerator(WIDE).run(job.replace(k_msb_token_stride=20), p.q[:2], p.k, p.v)
    starts = [h * 12 + 20 * t for h in range(2) for t in range(12)]
    assert tight.bytes["k_msb"] == sum(8 * ((a + 11) // 8 - a // 8 + 1) for a in starts)


def test_bytes_count_whole_beats():
    """Rows cost the beats they touch; the plan begins them on whole beats."""
    _, _, run = golden(arrays(20, layers=1, dim=8), {"k_bits": 10}, PRESETS["eighth"].replace(min_dim=8, k_ports=8,
                                                                                              v_ports=8))
    assert run.outputs.bytes["k_msb"] == 32 * 24
    inside = np.arange(24) * 10
    assert int(row_beats(inside, 10, PRESETS["eighth"]).sum()) == 30


def test_bytes_of_more_scales_than_a_command_reads():
    """A build for 16 tokens counts 62 words of scales in a command: those of 59 heads are two, and the beat of two
    words in which the second one starts is read by both."""
    config = WIDE.replace(
        multipliers=8, min_dim=8, max_dim=8, max_tokens=16, sram_tokens=16, max_heads=104, max_group=1, slots=2,
        topk_lanes=1, channels=4, axi_data_bits=128, interleave_bytes=64, k_ports=1, v_ports=1)
    assert scale_command_words(config) == 62
    numbers = np.random.default_rng(22)
    plan = Plan(make_workload({n: numbers.normal(size=(1, 59, 1, 8)) for n in "qkv"}, {"stage": "summarise"}), config)
    p, = plan.passes
    assert p.descriptor % 16 == 0
    job = p.job.replace(store_ids=0, store_scores=0)
    # 21 words; then words 21 … 82, from the middle of a beat to the middle of one, and 83 … 138.
    beats = 11 + 32 + 29
    one = GoldenAccelerator(config).run(job, p.q, p.k, p.v, descriptor=p.descriptor)
    assert one.bytes["other"] == 16 * beats
    traffic = Traffic(config, job, np.arange(59)[None], np.zeros((1, 1), dtype=np.int64))
    traffic._state(p.descriptor)
    assert traffic.bytes["other"].tolist() == [16 * beats]
