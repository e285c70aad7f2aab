"""The model in numpy: like the one in PyTorch, in parts as in one go, on disk and back."""

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.models.gpt.model import OPERANDS, causal_attention, load_gpt, random_gpt, save_gpt
from spatten_hw.sim.models.gpt.perplexity import baselines, cross_entropy, perplexity, windows

SMALL = {"layers": 2, "heads": 2, "dim": 8, "context": 12}


def test_equals_torch():
    torch = pytest.importorskip("torch")
    from spatten_hw.sim.models.gpt.network import forward, to_numpy

    model = random_gpt(5, **SMALL)
    weights = {name: torch.from_numpy(x) for name, x in model.weights.items()}
    ids = np.random.default_rng(6).integers(0, 96, (3, 12))
    expected = forward(model.architecture, weights, torch.from_numpy(ids)).numpy()
    assert np.abs(expected).max() > 1
    assert np.abs(model.forward(ids) - expected).max() < 1e-4
    again = to_numpy(model.architecture, weights)
    assert all(np.array_equal(again.weights[name], x) for name, x in model.weights.items())


def test_parts_take_any_leading_axes():
    model = random_gpt(1, **SMALL)
    ids = np.random.default_rng(2).integers(0, 96, (4, 10))
    x = model.embed(ids, np.arange(10))
    assert x.shape == (4, 10, model.hidden) and x.dtype == np.float32
    for layer in range(model.layers):
        q, k, v = model.project(layer, x)
        assert q.shape == k.shape == v.shape == (4, 10, 2, 8)
        one = model.project(layer, x[2, 3])
        assert np.allclose(one[1], k[2, 3], atol=1e-5) and one[0].shape == (2, 8)
        x = model.finish(layer, x, causal_attention(q, k, v))
    assert np.allclose(model.logits(x), model.forward(ids), atol=1e-5)
    assert model.logits(x[0, -1]).shape == (96,)


def test_no_token_sees_a_later_one():
    model = random_gpt(3, **SMALL)
    ids = np.arange(12)
    changed = np.append(ids[:-1], 50)
    assert np.allclose(model.forward(ids)[:-1], model.forward(changed)[:-1], atol=1e-6)
    assert not np.allclose(model.forward(ids)[-1], model.forward(changed)[-1], atol=1e-2)


def test_peaks_are_the_largest_magnitudes():
    model = random_gpt(4, **SMALL)
    ids = np.random.default_rng(4).integers(0, 96, (9, 12))
    model.calibrate(ids)
    x = model.embed(ids, np.arange(12))
    for name, rows in zip(OPERANDS, model.project(0, x), strict=True):
        assert model.peaks[name].shape == (2, 2) and model.peaks[name].dtype == np.float64
        assert np.allclose(model.peaks[name][0], np.abs(rows).max(axis=(0, 1, 3)), atol=1e-5)


def test_saved_and_loaded(tmp_path):
    model = random_gpt(7, **SMALL)
    model.info["perplexity"] = 4.5
    save_gpt(model, tmp_path / "folder" / "gpt.npz")
    again = load_gpt(tmp_path / "folder" / "gpt.npz")
    assert again.architecture == model.architecture and again.info == {"perplexity": 4.5}
    assert all(np.array_equal(again.peaks[name], model.peaks[name]) for name in OPERANDS)
    assert np.array_equal(again.forward(np.arange(5)), model.forward(np.arange(5)))
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["gpt.npz"]


def test_missing_and_broken_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    with pytest.raises(UserError, match="make gpt"):
        load_gpt()
    broken = tmp_path / "broken.npz"
    for content in (b"", b"no zip", b"PK\x03\x04"):
        broken.write_bytes(content)
        with pytest.raises(UserError, match=r"broken.npz: no weights .*make gpt"):
            load_gpt(broken)
    model = random_gpt(7, **SMALL)
    del model.weights["last.bias"]
    save_gpt(model, broken)
    with pytest.raises(UserError, match="architecture"):
        load_gpt(broken)


def test_perplexity():
    model = random_gpt(8, **SMALL)
    ids = np.random.default_rng(8).integers(0, 96, 40)
    cut = windows(ids, 12)
    assert cut.shape == (3, 13) and np.array_equal(cut[1], ids[12:25])
    logits = model.forward(cut[:, :-1]).astype(np.float64)
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    chosen = np.take_along_axis(probs, cut[:, 1:, None], axis=-1)
    assert perplexity(model, ids) == pytest.approx(np.exp(-np.log(chosen).mean()), rel=1e-5)
    assert cross_entropy(np.zeros((2, 96)), np.array([3, 4])) == pytest.approx(np.log([96, 96]))


def test_baselines():
    training = np.array([0, 1] * 500)
    result = baselines(training, training, 2)
    assert result["unigram"] == pytest.approx(2, rel=0.01) and result["bigram"] == pytest.approx(1, rel=0.01)
