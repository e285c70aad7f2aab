"""Nothing pruned: the float engine is `eager`, and 12-bit integers are close to it."""

from __future__ import annotations

import pytest
import torch

from spatten_hw.sim.models.huggingface import SpAttenAttention
from tests.models.huggingface.tiny import config, model, padding, tokens

MODELS = ("bert", "gpt2", "llama")
FLOAT = 1e-5
#: Of the largest output: 12-bit operands are exact to 1/4094 of their peak and probabilities to 1/8192, through three
#: layers with attention weights enlarged on purpose. Measured: 1.0e-3 (docs/huggingface.md).
GOLDEN = 4e-3


def differences(name: str, kind: str, attention: SpAttenAttention, **changes: object) -> tuple[float, float]:
    """(largest difference, the same relative to the largest output) of the rows of real tokens."""
    of = config(name, **changes)
    ids, mask = tokens(2, 11), padding(kind, 11)
    given = None if kind == "none" else mask
    eager, ours = model(of, "eager"), model(of, "spatten")
    with torch.no_grad(), attention:
        want, got = (m(input_ids=ids, attention_mask=given)[0] for m in (eager, ours))
    worst = float(((want - got).abs().amax(-1) * mask).max())
    return worst, worst / float(want.abs().max())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["none", "left", "right"])
def test_float_is_eager_and_golden_is_close(name: str, kind: str) -> None:
    assert differences(name, kind, SpAttenAttention(engine="float"))[0] <= FLOAT
    golden = SpAttenAttention()
    exact, relative = differences(name, kind, golden)
    assert exact > 0 and relative <= GOLDEN
    assert golden.report.total("saturated") == 0
    assert golden.report.forward_passes == 1 and len(golden.report.entries) == 2 * 3


@pytest.mark.parametrize("name", MODELS)
def test_scales_by_channel_are_close_too(name: str) -> None:
    assert differences(name, "left", SpAttenAttention(scales="channel"))[1] <= GOLDEN
    few = {"k_bits": 6, "v_bits": 6}
    head, channel = (differences(name, "none", SpAttenAttention(scales=scales, **few))[1]
                     for scales in ("head", "channel"))
    assert channel < 1.1 * head


@pytest.mark.parametrize("name,changes", [
    ("gpt2", {"scale_attn_weights": False}), ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
    ("mistral", {"sliding_window": 12}), ("albert", {"embedding_size": 32}), *((name, {}) for name in (
        "roberta", "electra", "opt", "gpt_neox", "qwen2", "qwen3", "phi3", "gemma", "gemma3_text"))])
def test_other_scales_and_types(name: str, changes: dict[str, object]) -> None:
    """Scales that are not 1/sqrt(D); a window longer than the input; one module for all layers."""
    assert differences(name, "none", SpAttenAttention(engine="float"), **changes)[0] <= FLOAT
    assert differences(name, "none", SpAttenAttention(), **changes)[1] <= GOLDEN


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("engine,bound,scales", [("float", FLOAT, "head"), ("golden", GOLDEN, "head"),
                                                 ("golden", GOLDEN, "channel")])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_with_a_cache(name: str, engine: str, bound: float, scales: str, cache: str) -> None:
    of = config(name)
    ids, mask = tokens(2, 7), padding("left", 7)
    settings = {"attention_mask": mask, "max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False,
                "return_dict_in_generate": True, "output_logits": True,
                "cache_implementation": None if cache == "dynamic" else cache}
    with torch.no_grad(), SpAttenAttention(engine=engine, scales=scales) as attention:
        want = model(of, "eager").generate(ids, **settings)
        got = model(of, "spatten").generate(ids, **settings)
    assert torch.equal(want.sequences, got.sequences)
    worst = max(float((a - b).abs().max()) for a, b in zip(want.logits, got.logits, strict=True))
    assert worst <= bound
    entries = attention.report.entries
    assert [e.stats.tokens for e in entries if e.sequence == 1] == [n for n in range(4, 9) for _ in range(3)]


def test_half_precision_and_masks_made_by_the_user() -> None:
    of = config("llama")
    ids = tokens(1, 6)
    mask = torch.full((6, 6), torch.finfo(torch.bfloat16).min, dtype=torch.bfloat16).triu(1)[None, None]
    with torch.no_grad(), SpAttenAttention(engine="float"):
        ours = model(of, "spatten").to(torch.bfloat16)
        assert torch.equal(ours(input_ids=ids)[0], ours(input_ids=ids, attention_mask=mask)[0])
        assert ours(input_ids=ids)[0].dtype == torch.bfloat16
