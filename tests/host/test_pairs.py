"""Plans put K's MSB rows of two heads side by side where that saves beats, and nowhere else."""

import numpy as np
import pytest

from spatten_hw import PRESETS
from spatten_hw.host.layout import unpack_rows
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload


def plan_of(preset, *, heads=4, kv=4, dim=64, bits=6, lsb=0, generate=True, layers=1):
    rng = np.random.default_rng(1)
    rows = {"q": (heads, 2 if generate else 5), "k": (kv, 5), "v": (kv, 5)}
    arrays = {n: rng.normal(size=(layers, h, r, dim)) for n, (h, r) in rows.items()}
    return Plan(make_workload(arrays, {
        "stage": "generate" if generate else "summarise", "k_bits": [bits, lsb] if lsb else bits,
        "v_bits": [bits, lsb] if lsb else bits}), PRESETS[preset])


YES = [{}, {"bits": 10}, {"lsb": 4}, {"heads": 3, "kv": 3}, {"heads": 2, "kv": 2}, {"dim": 32, "bits": 12},
       {"dim": 32, "bits": 4}, {"dim": 32, "bits": 10}]
NO = [{"bits": 8}, {"bits": 12}, {"generate": False}, {"kv": 2}, {"heads": 1, "kv": 1}, {"dim": 32, "bits": 6},
      {"dim": 32, "bits": 8}, {"dim": 128}, {"preset": "eighth"}, {"preset": "small", "dim": 32}]


@pytest.mark.parametrize("shape", YES + NO, ids=str)
def test_chosen_where_they_save_beats(shape):
    plan = plan_of(**{"preset": "full"} | shape)
    want = int(shape in YES)
    assert [p.job.pair for p in plan.passes] == [want] * len(plan.passes)
    for planes in plan.planes:
        assert planes["k_msb"].pair == bool(want)
        assert not any(plane.pair for name, plane in planes.items() if name != "k_msb")
        assert planes["k_msb"].token_stride % plan.config.beat_bytes == 0


@pytest.mark.parametrize("heads", [2, 3])
def test_rows_lie_where_the_descriptor_says(heads):
    """k_msb_base + (h // 2)·head stride + (h mod 2)·48 + t·96, and the LSB plane as ever."""
    plan = plan_of("full", heads=heads, kv=heads, lsb=4)
    data = dict(plan.layer_data(0))
    job, k = plan.passes[0].job, plan.workload.codes["k"][0]
    assert (job.k_msb_token_stride, job.k_msb_head_stride, job.k_lsb_token_stride) == (96, 5 * 96, 32)
    for h in range(heads):
        for t in range(5):
            at = h // 2 * 480 + h % 2 * 48 + t * 96
            assert job.head_offset("k_msb", h) + t * 96 == at
            assert np.array_equal(unpack_rows(data[job.k_msb_base][at:at + 48], 64, 6), k[h, t] >> 4)
            low = h * job.k_lsb_head_stride + t * 32
            assert np.array_equal(unpack_rows(data[job.k_lsb_base][low:low + 32], 64, 4, False), k[h, t] & 15)
