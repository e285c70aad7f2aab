"""Tasks of long context: what is asked for is said, at its depth, and an answer counts if all of it is right."""

from __future__ import annotations

import numpy as np
import pytest

from spatten_hw.sim.evaluate.point import Point
from spatten_hw.sim.evaluate.spread import interval
from spatten_hw.sim.evaluate.task_bench import DEPTHS, task_bench
from spatten_hw.sim.evaluate.tasks import DIGITS, TASKS
from spatten_hw.sim.models.llama.gguf_file import load
from spatten_hw.sim.models.llama.model import random_llama
from tests.integration.builds import QUAD
from tests.models.llama.tiny import VOCABULARY, tiny_model, write_gguf

LENGTH = 400


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return load(write_gguf(tmp_path_factory.mktemp("tasks") / "tiny.gguf", tiny_model())).tokenizer


@pytest.mark.parametrize("depth", [0.02, 0.5, 0.95])
@pytest.mark.parametrize("name", TASKS)
def test_what_is_asked_for_is_said_once_at_its_depth(tokens, name, depth):
    haystack = np.array(tokens.encode("plain prose. " * 200))
    ids = TASKS[name](tokens, haystack, LENGTH, depth, np.random.default_rng(3))
    assert len(ids) == LENGTH + DIGITS
    text, answer = tokens.decode(ids[:LENGTH].tolist()), tokens.decode(ids[LENGTH:].tolist())
    assert answer.isdigit() and len(answer) == DIGITS
    if name == "common":
        listed = text.splitlines()[-2].split()[2:]
        counts = sorted((listed.count(f"{other}") for other in set(listed)), reverse=True)
        assert listed.count(f"{answer},") == counts[0] > 4 * counts[1] and len(listed) > 25
        return
    assert text.count(answer) == (2 if name == "variables" else 1)
    question = text.splitlines()[-1]
    if name == "needle":
        assert question + answer == text[text.index("The secret"):].splitlines()[0][:-1]
        assert abs(text.index(answer) / len(text) - depth) < 0.15
    if name == "key-value":
        assert question + answer in text and text.count("\nkey ") > 5
    if name == "variables":
        first, second = question.split(" = ")[:2]
        assert f"{first} = {second}." in text and f" = {answer}.\n" in text


def test_another_seed_is_another_task(tokens):
    haystack = np.array(tokens.encode("plain prose. " * 200))
    one, same, other = (TASKS["needle"](tokens, haystack, LENGTH, 0.5, np.random.default_rng(n)) for n in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_answers_count_whole(tokens):
    model = random_llama(1, layers=1, heads=2, kv_heads=1, dim=16, context=512, vocabulary=len(VOCABULARY))
    haystack = np.array(tokens.encode("plain prose. " * 200))
    config = QUAD.replace(max_tokens=512, sram_tokens=512, name="quad-512")
    bench = task_bench(model, config, tokens, haystack, LENGTH, 1)
    assert bench.windows.shape == (len(TASKS) * len(DEPTHS), LENGTH) and bench.last - bench.prompt == DIGITS
    right = np.ones((len(bench.windows), DIGITS), dtype=bool)
    right[0, 2] = False
    told = bench.accuracy(np.zeros(right.shape), right)
    assert told["by_task"] == {"needle": 1 - 1 / len(DEPTHS), "key-value": 1.0, "variables": 1.0, "common": 1.0}
    assert told["by_depth"]["needle"] == [0.0] + [1.0] * (len(DEPTHS) - 1)
    assert told["exact"] == 1 - 1 / len(right)
    measured = bench.measure(Point("smollm2", (8, 0), q_bits=12, evict="h2o", cache=100))
    assert 0 <= measured["exact"] <= 1 and measured["byte_ratio"] < 0.5


def test_an_interval_holds_the_mean_and_narrows():
    rng = np.random.default_rng(1)
    theirs = rng.random(400)
    ours = theirs + 0.02 + 0.05 * rng.standard_normal(400)
    wide, narrow = interval(ours[:20], theirs[:20]), interval(ours, theirs)
    for low, high in (wide, narrow):
        assert low < np.exp(0.02) - 1 < high
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0]) and interval(ours, ours) == (0, 0)
