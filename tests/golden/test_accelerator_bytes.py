"""The golden accelerator's bytes: each against arithmetic on the rows it must read and write."""

import numpy as np

from spatten_hw import PRESETS
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.interface.descriptor import HEADER_WORDS, scale_command_words
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.batch_bytes import Traffic
from spatten_hw.sim.golden.fetch import touched_beats

from .passes import WIDE, arrays, golden


def test_bytes_of_dense_summarisation():
    """Rows of 16 × 12 bits are 24 bytes: three beats of 8, aligned; every row is read once per use."""
    _, _, run = golden(arrays(17, layers=1), {})
    b = run.outputs.bytes
    assert b["q"] == 4 * 12 * 24 and b["k_msb"] == b["v_msb"] == 2 * 12 * 24
    assert b["out"] == 4 * 12 * 32 and b["k_lsb"] == b["v_lsb"] == 0
    # Descriptor, survivors out, scores out.
    assert b["other"] == 8 * (HEADER_WORDS + 2 * 4) + 8 * (1 + 1 + 1) + 8 * (12 + 2)


def test_bytes_of_flat_rows():
    """Every query is flat: its Q row again, the LSB planes once per K/V head."""
    job = {"k_bits": [8, 4], "v_bits": [8, 4], "threshold": 1.0, "mask": "causal", "keep_values": [5]}
    _, _, run = golden(arrays(18, layers=1), job)
    b = run.outputs.bytes
    assert b["q"] == 2 * 4 * 12 * 24
    assert b["k_msb"] == b["v_msb"] == 2 * 12 * 16 and b["k_lsb"] == b["v_lsb"] == 2 * 12 * 8


def test_bytes_of_few_flat_rows():
    """LSB planes of a head are read if any of its queries is flat; K alone may have one."""
    a = arrays(18, layers=1, spread=3.0)
    job = {"k_bits": [8, 4], "v_bits": [8, 4], "threshold": 0.4, "keep_values": [5]}
    for kept in (job, job | {"v_bits": [8, 0]}):
        _, _, run = golden(a, kept)
        flat = run.results[0].refetched
        heads = int(flat.reshape(2, -1).any(axis=1).sum())
        assert 0 < flat.sum() < flat.size // 4 and heads
        b = run.outputs.bytes
        assert b["q"] == (4 * 12 + int(flat.sum())) * 24 and b["k_lsb"] == heads * 12 * 8
        assert b["v_lsb"] == (b["k_lsb"] if kept is job else 0) and b["v_msb"] == 2 * 12 * 16


def generated(a, job):
    """A generation step, and for every query head which values it used: those whose outputs change without them."""
    _, plan, run = golden(a, job)
    p, (result,) = plan.passes[0], run.results
    used = np.zeros((p.job.query_heads, p.job.tokens), dtype=bool)
    for token in range(p.job.tokens):
        v = p.v.copy()
        v[:, token] = -v[:, token] - 16
        out = GoldenAccelerator(WIDE).run(p.job, p.q, p.k, v).out
        used[:, token] = (out != result.out).any(axis=(1, 2))
    return result, used


def test_bytes_of_generation():
    """K rows once per K/V head for its whole group, V rows those that any of the group keeps."""
    job = {"stage": "generate", "keep_values": [3], "keep_tokens": [8], "k_bits": [8, 4], "v_bits": [8, 4]}
    a = arrays(19, layers=1, queries=1)
    few, used = generated(a, job)
    union = int(used.reshape(2, 2, -1).any(axis=1).sum())
    assert 2 * 3 < union <= 4 * 3 and used.sum() == 4 * 3
    assert few.bytes["k_msb"] == 2 * 8 * 16 and few.bytes["v_msb"] == union * 16 and few.rows["v_msb"] == union
    assert few.bytes["q"] == 4 * 24 and few.bytes["v_lsb"] == few.bytes["k_lsb"] == 0
    flat, used = generated(a, job | {"threshold": 1.0})
    union = int(used.reshape(2, 2, -1).any(axis=1).sum())
    assert flat.bytes["k_msb"] == 2 * 8 * 16 and flat.bytes["k_lsb"] == 2 * 8 * 8 and flat.bytes["q"] == 4 * 24
    assert flat.bytes["v_msb"] == union * 16 and flat.bytes["v_lsb"] == union * 8


def test_bytes_of_generation_with_one_flat_member():
    """K's LSBs once for the group of a flat query, V's LSBs for what the flat ones keep."""
    a = arrays(25, layers=1, queries=1, spread=2.0)
    job = {"stage": "generate", "keep_values": [3], "k_bits": [8, 4], "v_bits": [8, 4], "threshold": 0.34}
    result, used = generated(a, job)
    flat = result.refetched[:, 0]
    assert 0 < flat.sum() < 4
    groups = int(flat.reshape(2, 2).any(axis=1).sum())
    assert result.bytes["k_lsb"] == groups * 12 * 8
    assert result.bytes["v_msb"] == int(used.reshape(2, 2, -1).any(axis=1).sum()) * 16
    assert result.bytes["v_lsb"] == int((used & flat[:, None]).reshape(2, 2, -1).any(axis=1).sum()) * 8


def test_bytes_count_whole_beats():
    """Rows of 24 × 10 bits are 30 bytes: 4 beats of 8; words cost the beats that they touch."""
    _, _, run = golden(arrays(20, layers=1, dim=24), {"k_bits": 10})
    assert run.outputs.bytes["k_msb"] == 2 * 12 * 32
    assert int(touched_beats(np.arange(24) * 10, 10, PRESETS["eighth"]).sum()) == 30


def test_bytes_of_more_scales_than_a_command_reads():
    """A build for 16 tokens counts 62 words of scales in a command: those of 59 heads are two, and the beat of two
    words in which the second one starts is read by both."""
    config = WIDE.replace(
        multipliers=32, max_dim=8, max_tokens=16, sram_tokens=16, max_heads=104, max_group=1, slots=2, channels=4,
        axi_data_bits=128)
    assert scale_command_words(config) == 62
    numbers = np.random.default_rng(22)
    plan = Plan(make_workload({n: numbers.normal(size=(1, 59, 1, 8)) for n in "qkv"}, {"stage": "summarise"}), config)
    p, = plan.passes
    assert p.descriptor % 16 == 0
    job = p.job.replace(store_ids=0, store_scores=0)
    # From the middle of a beat on: 22 words; then words 22 … 83, from middle to middle, and 84 … 139.
    at, beats = p.descriptor + 8, 12 + 32 + 29
    one = GoldenAccelerator(config).run(job, p.q, p.k, p.v, descriptor=at)
    assert one.bytes["other"] == 16 * beats
    traffic = Traffic(config, job, np.arange(59)[None], np.zeros((1, 1), dtype=np.int64))
    traffic._state(at)
    assert traffic.bytes["other"].tolist() == [16 * beats]
