"""Workload files: what is read, and that everything wrong is one line with file and key."""

import itertools
import json
import math

import numpy as np
import pytest

from spatten_hw import PRESETS
from spatten_hw.host.plan import Plan
from spatten_hw.host.rules import BY_KEY
from spatten_hw.host.workload import make_workload, read_workload
from spatten_hw.host.workload.options import WorkloadError
from spatten_hw.host.workload.workload import check_build

from .malformed import CASES, good, save


@pytest.mark.parametrize("name", CASES)
def test_refused(name, tmp_path):
    arrays, words = CASES[name]
    path = tmp_path / "bad.npz"
    save(path, arrays)
    with pytest.raises(WorkloadError) as e:
        Plan(read_workload(path), PRESETS["small"])
    text = str(e.value)
    assert text.startswith(str(path) + ": ") and "\n" not in text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY", b"hello"])
def test_refused_bytes(content, tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(WorkloadError, match="file:"):
        read_workload(path)


def test_refused_archives(tmp_path):
    with pytest.raises(WorkloadError, match="cannot be read"):
        read_workload(tmp_path / "absent.npz")
    path = tmp_path / "cut.npz"
    save(path, good())
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    with pytest.raises(WorkloadError, match="cannot be read"):
        read_workload(path)
    # One flipped byte of array data: the checksum notices.
    path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    with pytest.raises(WorkloadError, match="cannot be read"):
        read_workload(path)
    save(path, good(q=np.array([{}], dtype=object)))
    with pytest.raises(WorkloadError, match="cannot be read"):
        read_workload(path)


def test_texts_of_tokens(tmp_path):
    texts = ("<s>", " a", "", "\n", "né", "x")
    save(tmp_path / "w.npz", good(tokens=np.array(texts)))
    assert read_workload(tmp_path / "w.npz").tokens == texts
    save(tmp_path / "w.npz", good())
    assert read_workload(tmp_path / "w.npz").tokens is None


def test_defaults_are_dense_12_bit(tmp_path):
    save(tmp_path / "w.npz", good())
    w = read_workload(tmp_path / "w.npz")
    o = w.options
    assert (o.generate, o.q_bits, o.k_bits, o.v_bits, o.threshold) == (False, 12, (12, 0), (12, 0), 0.0)
    assert o.keep_tokens == ((None, None),) and o.keep_values == ((None, None),)
    assert (o.causal, o.real_tokens, w.steps) == (False, 6, 1)
    for n in "qkv":
        assert np.abs(w.codes[n]).max() == 2047


def test_toml_takes_the_place_of_the_job(tmp_path):
    save(tmp_path / "w.npz", good(job={"stage": "generate", "threshold": 0.5}))
    job = tmp_path / "job.toml"
    job.write_text('mask = "causal"\nkeep_tokens = ["all", 3]\nkeep_heads = "all"\nk_bits = [8, 4]\nq_bits = 8\n')
    o = read_workload(tmp_path / "w.npz", job).options
    assert not o.generate and o.causal and o.threshold == 0
    assert o.keep_tokens == ((None, 3),) and o.keep_heads == ((None, None),) and o.k_bits == (8, 4)
    job.write_text("keep_tokens = [4")
    with pytest.raises(WorkloadError, match=r"job\.toml"):
        read_workload(tmp_path / "w.npz", job)
    job.write_text("keep_toknes = [4, 4]")
    with pytest.raises(WorkloadError, match="keep_toknes"):
        read_workload(tmp_path / "w.npz", job)


def test_integers_are_taken_as_they_are():
    x = np.arange(2 * 2 * 6 * 32).reshape(2, 2, 6, 32) % 31 - 15
    scale = np.array([[0.5, 1], [2, 4]])
    w = make_workload({"q": x, "k": x, "v": x, "v_scale": scale}, {"q_bits": 6})
    assert np.array_equal(w.codes["v"], x) and np.array_equal(w.real["q"], x)
    assert np.array_equal(w.real["v"], x * scale[..., None, None])


def test_the_unit_of_outputs_may_be_given():
    assert make_workload(good(v=np.ones((2, 2, 6, 32)))).out_unit == 1 / 32767
    assert make_workload(good(out_unit=np.array(0.25))).out_unit == 0.25


def test_steps_see_a_growing_context():
    arrays = good(q=np.ones((2, 2, 3, 32)))
    w = make_workload(arrays, {"stage": "generate", "keep_tokens": [[None, 4], [5, 3], [4, 2]]})
    assert [w.tokens_at(i) for i in range(3)] == [4, 5, 6]
    plan = Plan(w, PRESETS["small"])
    jobs = [p.job for p in plan.passes]
    assert [(j.tokens, j.restart) for j in jobs] == [(4, 1), (4, 0), (5, 1), (5, 0), (6, 1), (6, 0)]
    assert [j.clear_scores for j in jobs] == [1, 0, 0, 0, 0, 0]
    assert [j.store_scores for j in jobs] == [0, 0, 0, 0, 0, 1]
    assert [min(j.keep_tokens, 99) for j in jobs] == [99, 4, 5, 3, 4, 2]
    assert jobs[2].q_base - jobs[0].q_base == 48 and jobs[2].k_msb_base == jobs[0].k_msb_base


WITH_RULES = PRESETS["small"].replace(decision_rules=1)


def test_rules_become_fields_of_the_job():
    """Three nats are 3 / ln 2 octaves."""
    job = {"stage": "generate", "k_bits": [4, 4], "threshold": 1, "lsb_margin": 3, "keep_mass": 0.9, "give_back": True}
    w = make_workload(good(q=np.ones((2, 2, 1, 32))), job)
    assert w.options.rules == BY_KEY
    j = Plan(w, WITH_RULES).passes[0].job
    assert (j.lsb_by_key, j.lsb_margin, j.mass_share, j.give_back) == (1, round(3 / math.log(2) * 2 ** 14), 3686, 1)
    with pytest.raises(WorkloadError, match="decision_rules"):
        check_build(w, PRESETS["small"])
    j = Plan(make_workload(good(), {"keep_mass": 1e-9}), WITH_RULES).passes[0].job
    assert (j.lsb_by_key, j.lsb_margin, j.mass_share, j.give_back) == (0, 0, 1, 0)
    j = Plan(make_workload(good()), WITH_RULES).passes[0].job
    assert (j.lsb_by_key, j.lsb_margin, j.mass_share, j.give_back) == (0, 0, 0, 0)


WITH_QUERIES = PRESETS["small"].replace(chunk_queries=1, channels=2, multipliers=64)


def test_several_queries_are_one_step():
    """Five queries in steps of two; rows of Q begin in the channel of their head."""
    arrays = good(q=np.ones((2, 2, 5, 32)))
    w = make_workload(arrays, {"stage": "generate", "queries": 2, "keep_tokens": [[3, 3], [4, 3], [4, 3]],
                               "protect_last": 2})
    assert [w.tokens_at(i) for i in range(w.steps)] == [3, 5, 6]
    jobs = [p.job for p in Plan(w, WITH_QUERIES).passes]
    assert [(j.queries, j.causal, j.generate, j.query_rows) for j in jobs] == [(2, 1, 1, 2)] * 4 + [(1, 1, 1, 1)] * 2
    assert jobs[2].q_base - jobs[0].q_base == jobs[4].q_base - jobs[2].q_base == 48
    with pytest.raises(WorkloadError, match="chunk_queries = 1"):
        check_build(w, PRESETS["small"])
    one = Plan(make_workload(arrays, {"stage": "generate"}), WITH_QUERIES).passes[0].job
    assert (one.queries, one.causal) == (0, 0)


@pytest.mark.parametrize("job,message", [
    ({"queries": 0}, "is 0, must be null or a whole number 1"), ({"queries": 6}, "1 … 5"),
    ({"queries": True}, "is True"), ({"queries": 2, "stage": "summarise"}, "is summarise, but there are 5 queries"),
    ({"queries": 2, "mask": 4}, "beside a mask that pads"),
    ({"queries": 2, "keep_tokens": [3, 3], "protect_last": 1}, "protect_last is 1 while tokens are pruned"),
    ({"queries": 2, "keep_tokens": [[3, 3]]}, "has 1 lists for 3 steps"),
])
def test_wrong_queries(job, message):
    with pytest.raises(WorkloadError, match=message):
        make_workload(good(q=np.ones((2, 2, 5, 32))), {"stage": "generate"} | job)


def test_giving_back_needs_a_shift():
    """Outputs of so small a unit that the shift would be 1: it is 4, with a smaller mantissa."""
    arrays = good(out_unit=np.array(2.0 ** -36))
    for back, shift in ((False, 1), (True, 4)):
        for scale in Plan(make_workload(arrays, {"give_back": back}), WITH_RULES).passes[0].job.scales:
            assert scale.out_shift == shift, back


def test_planes_do_not_overlap():
    w = make_workload(good(), {"k_bits": [8, 4], "v_bits": [6, 4]})
    plan = Plan(w, PRESETS["eighth"])
    spans = [(a, a + len(b)) for layer in range(2) for channel, a, b in plan.layer_data(layer) if not channel]
    for p in plan.passes:
        out = p.out.head_stride * p.job.query_heads
        spans += [(p.job.out_base, p.job.out_base + out), (p.job.ids_out, p.job.ids_out + 8 * 3),
                  (p.descriptor, p.descriptor + 8 * 26)]
    spans.sort()
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_job_text_may_be_bytes(tmp_path):
    save(tmp_path / "w.npz", good(job=np.bytes_(json.dumps({"mask": "causal"}))))
    assert read_workload(tmp_path / "w.npz").options.causal
