"""What cannot be served: one line with the model's type and the reason, and nothing is left half done."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spatten_hw.errors import UserError
from spatten_hw.host import FixedCounts
from spatten_hw.sim.models.huggingface import AttentionOptions, SpAttenAttention, register
from tests.models.huggingface.tiny import config, model, tokens

IDS = tokens(2, 9)
MOE = {"num_local_experts": 2, "num_experts_per_tok": 1}


def refusal(run: Callable[[], object], **settings: Any) -> str:
    """The one line that `run` ends in."""
    with pytest.raises(UserError) as caught, torch.no_grad(), SpAttenAttention("small", **settings):
        run()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name,changes,reason", [
    ("mistral", {"sliding_window": 4}, "mistral: it has a sliding window or chunks of 4 tokens, and there are 9"),
    ("gemma2", {}, "gemma2: it has soft-capped scores"),
    ("gpt_oss", MOE, "gpt_oss: it has attention sinks"),
    ("bloom", {"n_head": 4, "n_layer": 2}, "bloom: its attention does not go through"),
    ("falcon", {"alibi": True}, "falcon: its attention does not go through"),
])
def test_types(name: str, changes: dict[str, Any], reason: str) -> None:
    assert refusal(lambda: model(config(name, **changes), "spatten", head=False)(input_ids=IDS)).startswith(reason)


def test_t5() -> None:
    import transformers as hf
    of = hf.T5Config(vocab_size=50, d_model=64, d_kv=32, num_layers=1, num_heads=2, d_ff=64)
    for whole, reason in ((hf.T5Model, "cross attention"), (hf.T5EncoderModel, "position bias|cross attention")):
        made = whole._from_config(of, attn_implementation="spatten").eval()
        given = {"decoder_input_ids": IDS} if whole is hf.T5Model else {}
        assert re.match(f"t5: it has .*({reason})", refusal(lambda m=made, g=given: m(input_ids=IDS, **g)))


def test_models_that_ignore_the_choice() -> None:
    text = refusal(lambda: model(config("deberta-v2"), "spatten", head=False)(input_ids=IDS))
    assert text.startswith("no attention came through")


@pytest.mark.parametrize("given,reason", [
    ({"attention_mask": torch.linspace(-1, 1, 81).reshape(1, 1, 9, 9).repeat(2, 1, 1, 1)}, "adds a bias to the scores"),
    ({"attention_mask": torch.ones(9, 9, dtype=torch.bool).tril().triu(-3)[None, None]}, "neither causal nor padding"),
    ({"attention_mask": torch.zeros(2, 9, dtype=torch.long)}, "hides all tokens"),
    ({"position_ids": torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4]] * 2), "use_cache": False}, "packed sequences"),
    ({"output_attentions": True}, "attention weights as an output"),
])
def test_masks_and_arguments(given: dict[str, Any], reason: str) -> None:
    text = refusal(lambda: model(config("llama"), "spatten")(input_ids=IDS, **given))
    assert text.startswith("llama: ") and reason in text


def test_training_mode() -> None:
    assert "training mode" in refusal(lambda: model(config("bert"), "spatten").train()(input_ids=IDS))


def test_caches_that_are_not_ours() -> None:
    ours, eager = model(config("gpt2"), "spatten"), model(config("gpt2"), "eager")
    cache = eager(input_ids=IDS).past_key_values
    assert "does not continue the pass before" in refusal(lambda: ours(input_ids=IDS[:, :2], past_key_values=cache))

    def chunk() -> None:
        """Two tokens more, on a build that takes one at a time."""
        ours(input_ids=IDS[:, :2], past_key_values=ours(input_ids=IDS).past_key_values)
    assert "'small' is built without them; give the prompt in one piece, or" in refusal(chunk)
    cache = eager(input_ids=IDS).past_key_values
    assert "does not continue the pass before" in refusal(lambda: ours(input_ids=IDS[:, :1], past_key_values=cache))

    def other() -> None:
        """The right length, but another model's prompt went before."""
        ours(input_ids=IDS)
        ours(input_ids=IDS[:, :1], past_key_values=eager(input_ids=IDS + 1).past_key_values)
    assert "sequence 0 does not continue" in refusal(other)
    assert "beam search" in refusal(lambda: ours.generate(IDS, num_beams=2, max_new_tokens=4, do_sample=False))


def test_a_refusal_ends_the_sequence() -> None:
    """After a layer of a step was refused there is nothing to continue; a prompt works again."""
    ours = model(config("llama"), "spatten")
    with torch.no_grad(), SpAttenAttention("small"):
        cache = ours(input_ids=IDS).past_key_values
        last = ours.model.layers[2].self_attn.train()
        with pytest.raises(UserError, match="training mode"):
            ours(input_ids=IDS[:, :1], past_key_values=cache)
        last.eval()
        with pytest.raises(UserError, match="does not continue"):
            ours(input_ids=IDS[:, :1], past_key_values=cache)
        ours(input_ids=IDS)


@pytest.mark.parametrize("changes,settings,reason", [
    ({"hidden_size": 32}, {}, "bert: q: has dim = 16; preset 'small' takes 32"),
    ({"hidden_size": 32 * 32, "num_attention_heads": 32}, {}, "takes at most max_heads = 16"),
    ({}, {"k_bits": (12, 4)}, "bert: job.k_bits: is 16 bits; preset 'small' takes at most operand_bits = 12"),
    ({}, {"schedule": FixedCounts(keep_tokens=3), "protect_first": 4}, "keeps fewer than the 4 protected tokens"),
    ({}, {"schedule": FixedCounts(keep_heads=5)}, "there are only 2 K/V heads"),
])
def test_what_the_build_has_not(changes: dict[str, Any], settings: dict[str, Any], reason: str) -> None:
    assert reason in refusal(lambda: model(config("bert", **changes), "spatten")(input_ids=IDS), **settings)


def test_settings() -> None:
    for settings, reason in (({"engine": "rtl"}, "engine"), ({"k_bits": 5}, "k_bits"), ({"threshold": 2}, "threshold"),
                             ({"protect_first": -1}, "protect_first"), ({"value_peak": 0}, "value_peak"),
                             ({"schedule": 3}, "schedule"), ({"bits": 3}, "the settings are")):
        with pytest.raises(UserError, match=reason):
            SpAttenAttention("small", **settings)
    with pytest.raises(UserError, match="unknown preset 'smal'"):
        SpAttenAttention("smal")
    with pytest.raises(UserError, match="not both"):
        SpAttenAttention("small", AttentionOptions(), record=True)


def test_outside_and_inside_another() -> None:
    with pytest.raises(UserError, match="needs an engine"):
        model(config("bert"), "spatten")(input_ids=IDS)
    with pytest.raises(UserError, match="another SpAttenAttention is open"), SpAttenAttention(), SpAttenAttention():
        pass


def test_dumps_without_anything_to_dump(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="record=True"):
        SpAttenAttention().dump(tmp_path)
    with pytest.raises(UserError, match="no forward pass has run"):
        SpAttenAttention(record=True).dump(tmp_path)


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=re.escape("pip install 'spatten-hw[huggingface]'")):
        register()
