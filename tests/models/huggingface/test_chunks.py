"""Several tokens at once on a filled cache: a prompt in chunks, guessed tokens checked together, long prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spatten_hw.host import FixedRatios
from spatten_hw.host.workload import read_workload
from spatten_hw.presets import PRESETS
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.models.huggingface import SpAttenAttention
from tests.models.huggingface.test_equal import FLOAT, GOLDEN
from tests.models.huggingface.tiny import config, model, padding, tokens

#: `small` with jobs of several queries; a prompt of more than 16 tokens does not fit its SRAM.
BUILD = PRESETS["small"].replace(name="chunks", chunk_queries=1, sram_tokens=16)
SIZES = (5, 4, 4, 1, 2)


def in_chunks(made: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits of all tokens, given piece by piece."""
    cache, out, first = None, [], 0
    for size in SIZES:
        piece = slice(first, first + size)
        got = made(input_ids=ids[:, piece], attention_mask=mask[:, :first + size], past_key_values=cache,
                   use_cache=True)
        cache, first = got.past_key_values, first + size
        out.append(got.logits)
    return torch.cat(out, dim=1)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("kind", ["none", "left"])
@pytest.mark.parametrize("engine,bound", [("float", FLOAT), ("golden", GOLDEN)])
def test_a_prompt_in_chunks_is_the_prompt(name: str, kind: str, engine: str, bound: float) -> None:
    of, length = config(name), sum(SIZES)
    ids, mask = tokens(2, length), padding(kind, length)
    with torch.no_grad(), SpAttenAttention(BUILD, engine=engine) as attention:
        want = model(of, "eager")(input_ids=ids, attention_mask=mask).logits
        got = in_chunks(model(of, "spatten"), ids, mask)
    worst = float(((want - got).abs().amax(-1) * mask).max())
    assert worst <= bound       # as in generation: scales of steps have room for what is to come
    assert attention.report.forward_passes == len(SIZES)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_guessed_tokens_are_checked_together(name: str) -> None:
    """Prompt lookup gives what one token at a time gives: rejected guesses leave nothing behind."""
    of = config(name)
    ids = tokens(1, 4).repeat(1, 3)
    settings = {"max_new_tokens": 14, "min_new_tokens": 14, "do_sample": False}
    with torch.no_grad(), SpAttenAttention(BUILD, engine="float") as attention:
        want = model(of, "eager").generate(ids, **settings)
        got = model(of, "spatten").generate(ids, prompt_lookup_num_tokens=3, **settings)
    assert torch.equal(want, got)
    assert attention.report.forward_passes < 14
    with torch.no_grad(), SpAttenAttention(BUILD) as golden:
        guessed = model(of, "spatten").generate(ids, prompt_lookup_num_tokens=3, **settings)
    assert guessed.shape == want.shape and golden.report.forward_passes < 14


def test_a_prompt_longer_than_the_memories() -> None:
    """In blocks on a build with several queries; with values and tokens pruned it runs as well."""
    ids = tokens(1, 20)
    of = config("llama")
    with torch.no_grad(), SpAttenAttention(BUILD) as attention:
        want, got = (model(of, kind)(input_ids=ids).logits for kind in ("eager", "spatten"))
    assert float((want - got).abs().max()) <= GOLDEN * float(want.abs().max())
    blocks = -(-20 // BUILD.chunk_positions(2))
    row = 32 * 12 // 8
    assert attention.report.total("saturated") == 0
    k = sum(e.stats.bytes["k_msb"] for e in attention.report.entries)
    assert k == 3 * 2 * row * sum(min(20, 2 * (n + 1)) for n in range(blocks))


def test_what_is_dumped_runs_again(tmp_path: Any) -> None:
    """Each file of chunks gives what the model was given, with tokens pruned."""
    schedule = FixedRatios(keep_tokens=0.6, keep_values=0.5)
    ids, mask = tokens(1, sum(SIZES)), torch.ones(1, sum(SIZES), dtype=torch.long)
    with torch.no_grad(), SpAttenAttention(BUILD, schedule=schedule, record=True, protect_last=1) as attention:
        in_chunks(model(config("llama"), "spatten"), ids, mask)
    paths = attention.dump(tmp_path / "out")
    assert len(paths) == 4          # the first piece, two of four, one, two
    for path, segment in zip(paths, attention.segments, strict=True):
        result = run_workload(read_workload(path), BUILD, "golden")
        assert np.array_equal(result.outputs.out, segment.out), path.name
