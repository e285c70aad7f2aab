"""Engines as objects of a configuration: written, checked, made, and what they bring."""

import dataclasses

import numpy as np
import pytest

from spatten_hw.cli import main
from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.engines import TOPK, LineRateChoice, QuickSelectChoice, topk_choice, topk_engine
from spatten_hw.presets import SMALL
from spatten_hw.shared import only_asked
from spatten_hw.sim.golden.topk import topk_mask
from spatten_hw.topk.interface import TopKEngine


@pytest.mark.parametrize("written,choice", [
    ("quickselect", QuickSelectChoice()), ("linerate", LineRateChoice()), (LineRateChoice(), LineRateChoice()),
    ("linerate, digit_bits = 3", LineRateChoice(digit_bits=3)),
    ("quickselect,waiting=1", QuickSelectChoice(waiting=1)),
])
def test_written_and_read(written, choice):
    config = SMALL.replace(topk=written)
    assert config.engine == choice
    assert SpAttenConfig(**config.fields) == config


def test_a_choice_without_parameters_is_its_name():
    """So the hash of a build, which sits in a register, is that of the name alone."""
    assert SMALL.fields["topk"] == "linerate" and SMALL.replace(topk=LineRateChoice()).hash == SMALL.hash
    changed = SMALL.replace(topk=LineRateChoice(wide=2))
    assert changed.fields["topk"] == "linerate,wide=2" and changed.hash != SMALL.hash


@pytest.mark.parametrize("written,message", [
    ("bubblesort", r"topk = 'bubblesort': must name a top-k engine; use 'quickselect' or 'linerate'$"),
    (7, "topk = 7: must name a top-k engine"),
    ("linerate,waiting=3", r"linerate has the parameters digit_bits, digit_stages, wide \(whole numbers\)"),
    ("linerate,digit_bits=0",
     r"topk = 'linerate': digit_bits = 0 must be a whole number in 1 … 6; use 4"),
    ("quickselect,waiting=x", r"topk = 'quickselect,waiting=x': must name a top-k engine"),
    (QuickSelectChoice(waiting="4"), r"waiting = '4' must be a whole number"),
])
def test_what_is_no_choice(written, message):
    with pytest.raises(ConfigError, match=message):
        SMALL.replace(topk=written)


def test_written_on_a_command_line_and_in_a_file(tmp_path, capsys):
    file = tmp_path / "c.toml"
    file.write_text('topk = "linerate,digit_bits=9"\n')
    for arguments, message in (
            (["--config", str(file)], "digit_bits = 9 must be a whole number in 1 … 6"),
            (["--set", "topk=linerate,wide=x"], "topk = 'linerate,wide=x': must name a top-k engine"),
            (["--set", "topk=quickselect,wide=2"], "quickselect has the parameters waiting")):
        assert main(["generate", "--out", str(tmp_path / "out"), *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") <= 2     # rules that a configuration breaks have a line each
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", TOPK)
def test_what_a_choice_brings(name):
    choice = TOPK[name]()
    engine = choice.make(12, 4, 64)
    only_asked(engine)
    assert isinstance(engine, TopKEngine) and choice.name == name and choice.title
    keys = np.array([[3, 9, 9, 1]])
    assert np.array_equal(choice.golden_mask()(keys, 2), topk_mask(keys, 2))
    for f in dataclasses.fields(choice):
        assert getattr(engine, f.name, None) == f.default or f.name.startswith("digit_"), f.name
        low, high = f.metadata["range"]
        for value in (low - 1, high + 1):
            assert list(dataclasses.replace(choice, **{f.name: value}).violations()), (f.name, value)
        assert not list(dataclasses.replace(choice, **{f.name: low}).violations())
    assert {"luts", "flip_flops", "brams"} <= set(choice.laws)


def test_an_engine_by_name():
    engine = topk_engine("linerate", 12, 4, 64)
    only_asked(engine)
    assert engine.digits == [4, 4, 4]
    assert topk_choice("none") is None
