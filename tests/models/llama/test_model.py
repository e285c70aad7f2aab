"""The Llama in numpy: against PyTorch's, its session against its own dense pass, folded scales."""

import numpy as np
import pytest

from spatten_hw.host.workload.fixed_schedule import FixedRatios
from spatten_hw.presets import SMALL
from spatten_hw.sim.models.decoder.attention import FloatAttention, integer_attention
from spatten_hw.sim.models.decoder.model import OPERANDS
from spatten_hw.sim.models.decoder.session import Session
from spatten_hw.sim.models.decoder.settings import DecoderSettings
from spatten_hw.sim.models.engines import GoldenEngine
from spatten_hw.sim.models.llama.model import HEADROOM, random_llama

IDS = np.random.default_rng(3).integers(0, 300, 14)
PLAIN = DecoderSettings(schedule=FixedRatios())


def logits_of(model, settings, attention, prompt=9):
    session = Session(model, SMALL, settings, attention)
    first = session.prompt(tuple(IDS[:prompt].tolist()))
    return np.array([first, *(session.step(int(i)) for i in IDS[prompt:])]), session


def test_it_is_pytorchs():
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = random_llama(4, heads=6, kv_heads=2)
    a = model.architecture
    config = transformers.LlamaConfig(
        vocab_size=a.vocabulary, hidden_size=a.hidden, intermediate_size=a.inner, num_hidden_layers=a.layers,
        num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, head_dim=a.dim, rms_norm_eps=a.eps,
        rope_theta=a.rope_base, tie_word_embeddings=True, max_position_embeddings=a.context)
    theirs = transformers.LlamaForCausalLM(config)
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {"model.embed_tokens.weight": model.weights["token_embd.weight"],
             "lm_head.weight": model.weights["token_embd.weight"],
             "model.norm.weight": model.weights["output_norm.weight"]}
    for layer in range(a.layers):
        for ours, name in names.items():
            w = model.weights[f"blk.{layer}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):    # GGUF turns neighbouring channels, PyTorch's code the two halves
                w = np.swapaxes(w.reshape(-1, a.dim // 2, 2, a.hidden), 1, 2).reshape(w.shape)
            state[f"model.layers.{layer}.{name}.weight"] = w
    theirs.load_state_dict({name: torch.tensor(np.ascontiguousarray(w)) for name, w in state.items()})
    with torch.no_grad():
        want = theirs(torch.tensor(IDS)[None]).logits[0].numpy()
    assert np.allclose(model.forward(IDS), want, atol=2e-3 * np.abs(want).max())


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("heads,kv_heads", [(4, 4), (4, 2), (3, 1)])
def test_a_session_is_the_dense_pass(heads, kv_heads, fold):
    """On float64 and, in 12 bits, on the golden model."""
    model = random_llama(5, heads=heads, kv_heads=kv_heads)
    model.calibrate(IDS, fold)
    want = model.forward(IDS)[8:]
    got, session = logits_of(model, PLAIN, FloatAttention())
    assert np.allclose(got, want, atol=1e-3 * np.abs(want).max())
    assert session.traces[-1].result.queries == heads
    got, session = logits_of(model, PLAIN, integer_attention(GoldenEngine(SMALL)))
    assert np.abs(got - want).max() < 0.05 * np.abs(want).max()
    assert session.traces[-1].result.bytes["out"] > 0


def test_scales_per_channel_save_bits():
    """K with a large channel, as real models have: in 6 bits a scale per head leaves little of the others."""
    model = random_llama(6)
    for layer in range(model.layers):
        k = model.weights[f"blk.{layer}.attn_k.weight"]
        k[::model.dim] *= 12
        k[1::model.dim] *= 12
    want = model.forward(IDS)[8:]
    error = {}
    for fold in (False, True):
        model.calibrate(IDS, fold)
        got, _ = logits_of(model, DecoderSettings(12, (6, 0), (8, 0), schedule=FixedRatios()),
                           integer_attention(GoldenEngine(SMALL)))
        error[fold] = np.abs(got - want).mean()
    assert error[True] < 0.8 * error[False]


def test_scores_depend_on_distances_alone():
    model = random_llama(7)
    x = model.embed(IDS[:2], np.arange(2))
    scores = []
    for first in (0, 5, 40):
        q, k, _ = model.project(0, x, np.array([first, first + 3]))
        scores.append((q[1, 0] * k[0, 0]).sum())
    assert np.allclose(scores, scores[0], rtol=1e-4)


def test_peaks_are_of_folded_rows():
    model = random_llama(8)
    model.calibrate(IDS)
    assert {name: model.peaks[name].shape for name in OPERANDS} == {"q": (2, 4), "k": (2, 2), "v": (2, 2)}
    assert all(f.min() > 0 and np.allclose(f.max(axis=-1), 1) for f in model.folds.values())
    model.calibrate(IDS, fold=False)
    assert model.folds is None


@pytest.mark.parametrize("reach", [12, 200, 5000, None])
def test_keys_of_later_positions_keep_to_the_scales_of_the_prompt(reach):
    """However far a key is turned: a pair's magnitude moves between its channels, and both have room for it."""
    model = random_llama(4, layers=2, heads=2, kv_heads=1, dim=16, context=64, vocabulary=40)
    ids = np.arange(12)
    model.calibrate(ids, reach=reach)
    seen = []
    model.hidden_rows(ids, seen)
    assert model.folds is not None
    for layer, (_, k, _) in enumerate(seen):
        plain = model.rotated(k, -ids)
        for position in {*np.linspace(0, (reach or 30_000) - 1, 77).astype(int).tolist(), *ids.tolist()}:
            turned = model.rotated(plain, np.full(len(ids), position)) / model.folds["k"][layer]
            assert np.all(np.abs(turned).max(axis=(0, 2)) <= model.peaks["k"][layer] / HEADROOM["k"] * 1.01)


def test_a_shorter_reach_has_finer_scales():
    """Slow pairs keep their magnitude where it is: the factor of the other channel is smaller."""
    model = random_llama(4, layers=1, heads=2, kv_heads=1, dim=16, context=64, vocabulary=40)
    factors = []
    for reach in (12, 200, 20_000, None):
        model.calibrate(np.arange(6), reach=reach)
        factors.append(model.folds["k"].sum())
    assert factors == sorted(factors) and factors[0] < 0.97 * factors[-1]
