"""Records: what is refused, and that they say what a run said."""

import dataclasses

import numpy as np
import pytest

from spatten_hw import PRESETS
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.report.html import render
from spatten_hw.sim.report.of_run import run_record
from spatten_hw.sim.report.record import LayerRecord, RunRecord, SequenceRecord, StepRecord
from tests.host.fake_device import FakeDevice

from .samples import embedded, record, sequence

LAYER = LayerRecord(0, (0, 2), (1.0, 0.0, 2.0), 2, (0, 1), (1.0, 1.0), 4, 1)


@pytest.mark.parametrize("change, words", [
    ({"heads_alive": (1, 0)}, "heads_alive"), ({"heads_alive": (2,)}, "heads_alive"),
    ({"head_importance": (1.0,)}, "2 heads"), ({"refetched": 5}, "5 of 4"), ({"alive": (0, 3)}, "alive"),
    ({"alive": (2, 0)}, "ascend"), ({"importance": (1.0,)}, "importance of 1"),
    ({"importance": (1.0,) * 4}, "importance of 4"), ({"layer": 1}, "numbered from 0"),
])
def test_what_does_not_fit_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        SequenceRecord("x", ("a", "b", "c"), (StepRecord("s", (dataclasses.replace(LAYER, **change),)),))


def test_empty_records_are_refused():
    good = SequenceRecord("x", ("a", "b", "c"), (StepRecord("s", (LAYER,)),))
    for make in (lambda: SequenceRecord("x", (), good.steps), lambda: SequenceRecord("x", ("a",), ()),
                 lambda: StepRecord("s", ()), lambda: RunRecord("t", "golden", "p", "0", None, ()),
                 lambda: RunRecord("t", "gpu", "p", "0", None, (good,))):
        with pytest.raises(ValueError):
            make()


def test_a_record_without_importance_bytes_and_cycles():
    layer = dataclasses.replace(LAYER, importance=None, head_importance=None)
    page = render(record(SequenceRecord("x", ("a", "b", "c"), (StepRecord("s", (layer,)),)), engine="float",
                         bit_exact=None))
    assert "Importance of tokens" not in page and "DRAM" not in page and 'data-kind="heads"' in page
    assert embedded(page)["total"]["bytes"] is None and embedded(page)["sequences"][0]["steps"][0]["layers"][0][
        "importance"] is None


@pytest.mark.parametrize("stage", ["summarise", "generate"])
@pytest.mark.parametrize("engine", ["float", "golden", "rtl"])
def test_the_record_of_a_run(engine, stage):
    rng = np.random.default_rng(2)
    queries = 14 if stage == "summarise" else 3
    texts = np.array([f" t{i}" for i in range(14)])
    w = make_workload({**{n: rng.standard_normal((3, 4, queries if n == "q" else 14, 32)) for n in "qkv"},
                       "tokens": texts},
                      {"stage": stage, "k_bits": [8, 4], "v_bits": [8, 4], "threshold": 0.25,
                       "keep_tokens": [None, 9, 5], "keep_heads": [4, 3, 2]})
    result = run_workload(w, PRESETS["small"], engine, FakeDevice)
    r = run_record(result, w)
    o, report = result.outputs, result.report
    assert (r.engine, r.preset, r.config_hash, r.bit_exact) == (
        engine, "small", report["config_hash"], {"rtl": True}.get(engine))
    (q,) = r.sequences
    assert q.tokens == tuple(texts) and len(q.steps) == w.steps
    assert [s.name for s in q.steps] == (
        ["summarisation"] if stage == "summarise" else ["0: token 11 ␣t11", "1: token 12 ␣t12", "2: token 13 ␣t13"])
    layers = [(i, x) for i, s in enumerate(q.steps) for x in s.layers]
    assert len(layers) == len(report["layers"])
    for (step, x), said in zip(layers, report["layers"], strict=True):
        assert (step, x.layer, len(x.alive), len(x.heads_alive), x.queries, x.refetched, x.cycles, x.bytes) == tuple(
            said[k] for k in ("step", "layer", "tokens", "heads", "queries", "refetched", "cycles", "bytes"))
        assert list(x.alive) == np.flatnonzero(o.step_token_kept[step, x.layer]).tolist()
        assert list(x.importance) == o.step_token_scores[step, x.layer, :w.tokens_at(step)].tolist()
        assert list(x.head_importance) == o.step_head_scores[step, x.layer].tolist()
    if engine == "float":
        assert all(x.dense_bytes is None for _, x in layers)
    else:
        assert sum(x.dense_bytes for _, x in layers) == result.dense_bytes
        assert sum(x.refetched for _, x in layers) == o.refetched.sum() > 0
    data = embedded(render(r))
    assert data["total"]["bytes"] == report["bytes"] and data["total"]["cycles"] == report["cycles"]


def test_padding_is_absent():
    rng = np.random.default_rng(3)
    w = make_workload({n: rng.standard_normal((1, 1, 6, 32)) for n in "qkv"}, {"mask": 4})
    r = run_record(run_workload(w, PRESETS["small"], "golden"), w)
    assert r.sequences[0].tokens == tuple("012345") and r.sequences[0].steps[0].layers[0].alive == (0, 1, 2, 3)
    page = render(r)
    assert page.count('class="w none"') == 2 and page.count('class="absent"') == 2 and "4 / 4" in page


def test_importance_keeps_six_digits():
    q = sequence(4, 8)
    got = embedded(render(record(q)))["sequences"][0]["steps"][0]["layers"][1]["importance"]
    np.testing.assert_allclose(got, q.steps[0].layers[1].importance, rtol=1e-5)
