"""Empty prompts and several threads: one line with the cause, and the next prompt works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from spatten_hw.errors import UserError
from spatten_hw.sim.models.huggingface import SpAttenAttention
from spatten_hw.sim.models.huggingface.turn import Turn
from tests.models.huggingface.tiny import config, model, tokens

NONE = torch.zeros((1, 0), dtype=torch.long)
TWO = "two threads run models inside one SpAttenAttention"


@pytest.mark.parametrize("given", [
    {"input_ids": NONE}, {"input_ids": NONE, "attention_mask": NONE}, {"input_ids": NONE.T.expand(0, 4)},
    {"inputs_embeds": torch.zeros(1, 0, 64)}])
@pytest.mark.parametrize("name", ["bert", "gpt2", "opt", "gpt_neox"])
def test_an_empty_prompt(name: str, given: dict[str, Any]) -> None:
    ours = model(config(name), "spatten")
    with pytest.raises(UserError) as caught, torch.no_grad(), SpAttenAttention("small", engine="float"):
        ours(**given)
    text = str(caught.value)
    assert text.startswith(f"{name}: it is given no token (") and "at least one token" in text and "\n" not in text


@pytest.mark.parametrize("name", ["gpt2", "llama", "opt"])
def test_generation_from_nothing(name: str) -> None:
    with pytest.raises(UserError, match="it is given no token") as caught, SpAttenAttention("small", engine="float"):
        model(config(name), "spatten").generate(NONE, max_new_tokens=2, do_sample=False)
    assert "\n" not in str(caught.value)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(IndexError), torch.no_grad(), SpAttenAttention("small", engine="float"):
        model(config("bert"), "spatten")(input_ids=torch.full((1, 3), 1000))


def outcomes(runs: list[Callable[[], object]]) -> list[str]:
    """Runs each in a thread of its own, all at once; what they ended in, "" for well."""
    ended = [""] * len(runs)

    def one(i: int) -> None:
        try:
            runs[i]()
        except UserError as error:
            ended[i] = str(error)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(runs))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    return ended


def test_two_threads_at_once_are_both_told() -> None:
    """The first stops in the middle of its pass, until the second has begun one."""
    ours, other = (model(config("llama"), "spatten") for _ in range(2))
    half, met = threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        half.set()
        assert met.wait(30)

    ours.model.layers[0].register_forward_hook(stop)

    def second() -> None:
        assert half.wait(30)
        try:
            with torch.no_grad():
                other(input_ids=tokens(1, 5))
        finally:
            met.set()

    def first() -> None:
        with torch.no_grad():
            ours(input_ids=tokens(1, 5))

    with SpAttenAttention("small", engine="float") as engine:
        assert [text.startswith(TWO) for text in outcomes([first, second])] == [True, True]
        with torch.no_grad():
            other(input_ids=tokens(1, 5))
        assert engine.count == 2


def test_threads_one_after_another_may_go_on_with_a_sequence() -> None:
    """As `generate` in a thread does, with a streamer in the main one."""
    ours = model(config("llama"), "spatten")
    cache: list[Any] = []

    def prompt() -> None:
        with torch.no_grad():
            cache.append(ours(input_ids=tokens(1, 5)).past_key_values)

    with SpAttenAttention("small", engine="float") as engine:
        assert outcomes([prompt]) == [""]
        with torch.no_grad():
            ours(input_ids=tokens(1, 1), past_key_values=cache[0])
        assert (engine.count, engine.forwards) == (1, 2)


def test_a_pass_that_was_broken_by_another_thread() -> None:
    """Both threads are told once, whichever layer they are in; neither breaks what the other begins afterwards."""
    forgotten: list[int] = []
    turn = Turn(lambda: forgotten.append(1))
    turn.layer()
    assert outcomes([turn.begin])[0].startswith(TWO) and len(forgotten) == 1
    with pytest.raises(UserError, match=TWO):
        turn.ran(False)
    turn.begin()
    turn.layer()
    assert outcomes([turn.failed]) == [""] and len(forgotten) == 1
    turn.ran(True)

    def ended() -> None:
        turn.layer()
    assert outcomes([ended]) == [""]
    turn.layer()  # that thread is no more
