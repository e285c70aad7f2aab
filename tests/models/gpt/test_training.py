"""A short training of a tiny model: it learns, and the same again gives the same."""

import sys

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.models.gpt import vocabulary
from spatten_hw.sim.models.gpt.architecture import Architecture
from spatten_hw.sim.models.gpt.perplexity import perplexity
from spatten_hw.sim.models.gpt.train import learning_rate, train
from spatten_hw.sim.models.gpt.weights import TrainingSettings, weights_path
from spatten_hw.sim.status import Status

TINY = Architecture(layers=2, heads=2, dim=16, context=32)
TEXTS = ("the quick brown fox jumps over the lazy dog\n" * 40, "pack my box with five dozen liquor jugs\n" * 40)


def test_learns(capsys):
    pytest.importorskip("torch")
    settings = TrainingSettings(steps=200, batch=8, calibration_windows=4)
    model, losses = train(TINY, settings, TEXTS, Status())
    assert losses[0] == pytest.approx(np.log(96), abs=0.3)
    assert np.mean(losses[-5:]) < 0.5
    assert perplexity(model, np.array(vocabulary.encode(TEXTS[0][:400]))) < 3
    assert all(np.all(p > 0) for p in model.peaks.values())
    assert "step 200/200" in capsys.readouterr().err


def test_repeats():
    pytest.importorskip("torch")
    settings = TrainingSettings(steps=3, batch=4, calibration_windows=2)
    (first, a), (second, b) = (train(TINY, settings, TEXTS, Status()) for _ in range(2))
    assert a == b and all(np.array_equal(first.weights[n], second.weights[n]) for n in first.weights)
    _, other = train(TINY, TrainingSettings(steps=3, batch=4, calibration_windows=2, seed=2), TEXTS, Status())
    assert other != a


def test_updates_are_orthogonal():
    torch = pytest.importorskip("torch")
    from spatten_hw.sim.models.gpt.optimiser import orthogonal

    for shape in ((24, 24), (48, 12), (12, 48)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
        assert values.min() > 0.5 and values.max() < 1.3


def test_rates_rise_and_fall():
    s = TrainingSettings(steps=100, warm_up=0.1, cool_down=0.5)
    rates = [learning_rate(i, s) for i in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[50] == 1 and rates[99] == pytest.approx(0.02)
    assert max(rates) == 1


def test_weights_are_kept_by_what_they_depend_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    paths = {weights_path(), weights_path(TINY), weights_path(settings=TrainingSettings(seed=9))}
    assert len(paths) == 3 and all(p.parent == tmp_path / "gpt" for p in paths)
    assert weights_path() == weights_path(Architecture(), TrainingSettings())


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"spatten-hw\[train\]"):
        train(TINY, TrainingSettings(steps=1), TEXTS, Status())
