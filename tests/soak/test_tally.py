"""The tally: what is kept over runs, which seeds come next, what is printed."""

from itertools import islice

import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.soak.tally import Tally, markdown, summed


def entry(seed, outcome="passed", digest="new", **more):
    return {"seed": seed, "outcome": outcome, "digest": digest, "fields": {"slots": 4, "topk": "linerate"}, "wrong": [],
            "queries": 10, "cycles": 100, "jobs": 2, "cases": 1, "features": {"causal": 1}} | more


def test_what_is_added_is_there_again(tmp_path):
    path = tmp_path / "deep" / "tally.json"
    tally = Tally(path)
    tally.add(entry(2))
    tally.add(entry(1, "failed", wrong=["a | b"]))
    tally.add(entry(1))
    assert Tally(path).entries == {1: entry(1), 2: entry(2)}
    assert [p.name for p in path.parent.iterdir()] == ["tally.json"]


def test_the_next_seeds(tmp_path):
    """First what failed or did not finish with other sources, then what has never run."""
    tally = Tally(tmp_path / "tally.json")
    for e in (entry(1), entry(3, "failed", "old"), entry(4, "failed"), entry(6, "unfinished", "old"), entry(7, "passed",
              "old"), entry(8, "refused", "old")):
        tally.add(e)
    assert list(islice(tally.pending(1, "new"), 5)) == [3, 6, 2, 5, 9]
    assert list(islice(tally.pending(7, "new"), 4)) == [3, 6, 9, 10]


def test_sums_count_what_passed(tmp_path):
    sums = summed([entry(1), entry(2, "failed", wrong=["x"]), entry(3, "refused"), entry(4)])
    assert (sums["passed"], sums["failed"], sums["refused"], sums["unfinished"]) == (2, 1, 1, 0)
    assert (sums["queries"], sums["cycles"], sums["jobs"], sums["cases"]) == (20, 200, 4, 2)
    assert sums["fields"]["slots"] == {"4": 2}


def test_the_tables(tmp_path):
    tally = Tally(tmp_path / "tally.json")
    tally.add(entry(1))
    tally.add(entry(2, digest="old", queries=5000))
    tally.add(entry(3, "failed", wrong=["a | b\nc"]))
    text = markdown(tally, "new")
    assert "| configurations passed | 2 | 1 |" in text
    assert "| queries of those that passed | 5,010 | 10 |" in text
    assert "| slots | 4 × 2 |" in text
    assert "| 3 | new | failed | a / b |" in text


@pytest.mark.parametrize("text", ["", "[]", '{"entries": [{}]}', '{"entries": 1}'])
def test_something_else_in_its_place(tmp_path, text):
    (tmp_path / "tally.json").write_text(text)
    with pytest.raises(UserError, match="is no tally of a soak"):
        Tally(tmp_path / "tally.json")
