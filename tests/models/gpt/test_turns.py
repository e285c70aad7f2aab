"""Several tokens given to a filled cache: the same as all at once or one by one, on builds with and without the jobs
for it."""

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.sim.models.decoder.attention import FloatAttention, integer_attention
from spatten_hw.sim.models.decoder.session import Session
from spatten_hw.sim.models.decoder.settings import DecoderSettings
from spatten_hw.sim.models.engines import GoldenEngine
from spatten_hw.sim.models.gpt.model import random_gpt
from tests.integration.builds import QUAD

MODEL = random_gpt(3, context=48)
IDS = tuple(np.random.default_rng(5).integers(0, MODEL.vocabulary, 40).tolist())
#: A prompt of more than 16 tokens does not fit the SRAMs.
TOGETHER = QUAD.replace(name="together", chunk_queries=1, sram_tokens=16)
SETTINGS = DecoderSettings(12, (12, 0), (12, 0))


def session(config: SpAttenConfig, exact: bool = True, settings: DecoderSettings = SETTINGS) -> Session:
    attention = integer_attention(GoldenEngine(config)) if exact else FloatAttention()
    return Session(MODEL, config, settings, attention)


def in_turns(s: Session, *sizes: int) -> np.ndarray:
    """Logits after the tokens, in turns of these sizes."""
    logits, first = s.prompt(IDS[:sizes[0]]), sizes[0]
    for size in sizes[1:]:
        logits, first = s.more(IDS[first:first + size]), first + size
    return logits


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() < 0.02 * np.abs(b).max())


def test_turns_in_float_are_the_prompt():
    assert np.allclose(in_turns(session(TOGETHER, False), 9, 14, 7), in_turns(session(QUAD, False), 30), atol=1e-4)


@pytest.mark.parametrize("settings", [SETTINGS, DecoderSettings(12, (4, 4), (4, 4), 0.5)], ids=["static", "LSBs"])
def test_turns_at_once_are_tokens_one_by_one(settings):
    """As nothing is pruned, and for fewer bytes; three turns, then steps. The host's float32 rounds rows that come
    together otherwise, so that a few integers differ by one."""
    at_once, one_by_one = session(TOGETHER, settings=settings), session(QUAD, settings=settings)
    logits = [in_turns(s, 9, 14, 7) for s in (at_once, one_by_one)]
    assert close(*logits) and len(at_once.traces) == 3 * MODEL.layers < len(one_by_one.traces)
    assert {t.step for t in at_once.traces} == {t.step for t in one_by_one.traces} == {0}
    assert close(at_once.step(IDS[30]), one_by_one.step(IDS[30])) and at_once.traces[-1].step == 1
    moved = [sum(sum(t.result.bytes.values()) for t in s.traces) for s in (at_once, one_by_one)]
    assert moved[0] < 0.6 * moved[1]


def test_a_prompt_in_blocks():
    """40 tokens on memories for 16: the prompt's integers, bit for bit; a build without the jobs refuses it."""
    assert np.array_equal(session(TOGETHER).prompt(IDS), session(QUAD.replace(sram_tokens=64)).prompt(IDS))
    with pytest.raises(UserError, match="sram_tokens"):
        session(QUAD.replace(sram_tokens=16)).prompt(IDS)


def test_what_cannot_be_given():
    s = session(TOGETHER)
    with pytest.raises(ValueError, match="prompt comes first"):
        s.more(IDS)
    s.prompt(IDS[:9])
    with pytest.raises(UserError, match="nothing is given"):
        s.more(())
    with pytest.raises(UserError, match="more than the model's context"):
        s.more(IDS)
