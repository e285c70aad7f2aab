"""What a model's attention does that the accelerator does not: found in module, configuration and arguments."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from spatten_hw.errors import UserError

#: Arguments that say nothing about this attention's arithmetic.
HARMLESS = frozenset({
    "attention_mask", "dropout", "scaling", "is_causal", "position_ids", "cache_position", "position_embeddings",
    "use_cache", "output_hidden_states", "return_dict", "num_items_in_batch", "cache", "past_key_values",
    "past_key_value", "layer_idx", "token_type_ids", "logits_to_keep", "sliding_window"})
#: Others, by what they mean.
MEANINGS = {
    "softcap": "soft-capped scores", "s_aux": "attention sinks", "sinks": "attention sinks",
    "position_bias": "a position bias on the scores", "alibi": "a position bias on the scores",
    "relative_pos": "a position bias on the scores", "output_attentions": "attention weights as an output",
    "cu_seq_lens_q": "packed sequences", "cu_seq_lens_k": "packed sequences", "seq_idx": "packed sequences",
    "encoder_hidden_states": "cross attention",
}


#: What to do with a model that cannot be served.
REMEDY = 'attn_implementation="spatten" cannot serve that, use "eager"'
#: What to do about a prompt without tokens.
EMPTY = "give every sequence at least one token"
#: Why a model may not call the attention function that it is told to use.
APART = "its attention does not go through transformers' attention interface (often so with a position bias like ALiBi)"


def refused(name: str, reason: str, remedy: str = REMEDY) -> UserError:
    """The one line for a model that cannot be served."""
    return UserError(f"{name}: {reason}; {remedy}")


def refused_key(error: BaseException | None, name: str) -> UserError | None:
    """The line for a `KeyError` that says that a model has no attention called `name`: such models look it up in a
    list of their own, not in the interface. None for any other error."""
    if not isinstance(error, KeyError) or error.args != (name,):
        return None
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return refused(where.rpartition(".modeling_")[2] or "model", APART)


def refused_empty(error: BaseException | None) -> UserError | None:
    """The line for an error of a model that was given no token; models fail at that in many ways, some of them before
    they ask for a mask. None for any other error."""
    trace = error.__traceback__ if isinstance(error, RuntimeError | IndexError | ValueError) else None
    while trace is not None:
        scope = trace.tb_frame.f_locals
        for name in ("input_ids", "inputs_embeds", "inputs_tensor"):
            given: Any = scope.get(name)
            if given is not None and hasattr(given, "numel") and not given.numel():
                kind = getattr(getattr(scope.get("self"), "config", None), "model_type", "model")
                return refused(kind, f"it is given no token ({name} has shape {list(given.shape)})", EMPTY)
        trace = trace.tb_next
    return None


def check_interface(config: Any) -> None:
    """Refuses a model whose attention never asks for an implementation: it would run as if nothing had been set."""
    module = sys.modules.get(type(config).__module__.replace(".configuration_", ".modeling_"))
    if module is not None and ".modeling_" in module.__name__ and not hasattr(module, "ALL_ATTENTION_FUNCTIONS"):
        raise refused(config.model_type, APART)


def check_module(module: Any, config: Any, layer: int, keys: int, kwargs: Mapping[str, Any]) -> None:
    """Refuses one call of the attention function; `keys`: how many there are, `kwargs`: all named arguments."""
    name = getattr(config, "model_type", type(module).__name__)
    if module.training or kwargs.get("dropout"):
        raise refused(name, "it is in training mode, with dropout and gradients", "call model.eval() first")
    for reason in _reasons(module, config, layer, keys, kwargs):
        raise refused(name, reason)


def _reasons(module: Any, config: Any, layer: int, keys: int, kwargs: Mapping[str, Any]) -> Iterator[str]:
    if getattr(module, "is_cross_attention", False) or getattr(config, "is_encoder_decoder", False):
        yield "it has cross attention (an encoder-decoder model)"
    if getattr(module, "sinks", None) is not None:
        yield "it has attention sinks"
    if getattr(module, "attn_logit_softcapping", None) or getattr(config, "attn_logit_softcapping", None):
        yield "it has soft-capped scores"
    for name, value in kwargs.items():
        if name in HARMLESS or value is None or value is False:
            continue
        if name in MEANINGS:
            yield f"it has {MEANINGS[name]} (argument {name})"
        elif value is not True:
            yield f"it passes {name} to its attention, which is not known here"
    window = _window(module, config, layer, kwargs)
    # A cache for a window forgets what has left it: a full one cannot be told from one about to cut.
    if window is not None and keys >= window:
        yield f"it has a sliding window or chunks of {window} tokens, and there are {keys}"


def _window(module: Any, config: Any, layer: int, kwargs: Mapping[str, Any]) -> int | None:
    """How many tokens back this layer sees; None: all."""
    types = getattr(config, "layer_types", None)
    kind = types[layer] if types is not None and layer < len(types) else None
    if kind == "chunked_attention":
        return getattr(config, "attention_chunk_size", None)
    window = kwargs.get("sliding_window", getattr(module, "sliding_window", None))
    if window is None and kind == "sliding_attention":
        window = getattr(config, "sliding_window", None)
    return window
