"""Mutants of a small design: which there are, that number 0 is the design, and that every one that differs is seen."""

import itertools
import random
import re

import pytest

from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.block_build import build_block
from spatten_hw.sim.harness.variant import MUTANTS
from spatten_hw.sim.verify import sites as module
from spatten_hw.sim.verify.mutant_runs import NUMBER
from spatten_hw.sim.verify.mutate import NUMBER_VERILOG, with_mutants
from spatten_hw.sim.verify.sample import read_list, sample, write_list
from spatten_hw.sim.verify.sites import Mutant, Site, sites
from spatten_hw.verilog import from_rtlil, to_rtlil, to_verilog

from .toy import Toy


@pytest.fixture(autouse=True)
def toy_is_a_source(monkeypatch):
    """The toy's lines count as lines of the generator."""
    monkeypatch.setattr(module, "_SOURCE", re.compile(r'  attribute \\src "((?:[^"|]*/)?tests/verify/(toy\.py)):(\d+)'))


def every() -> list[Mutant]:
    found = sites(to_rtlil(Toy(), "block"))
    return [Mutant(site, which) for site, n in sorted(found.items())
            for which in (("every", "first", "last") if n > 1 else ("every",))]


def test_every_kind_of_site_is_found():
    kinds = {site.kind for site in sites(to_rtlil(Toy(), "block"))}
    assert kinds == {
        "$lt as $le", "$lt as $ge", "$mux as exchanged", "$add as $sub", "$add as constant", "$eq as $ne",
        "$eq as constant", "$and as $or", "if inverted", "if never", "if always", "assignment dropped",
        "constant's bit 0"}


def test_conditions_that_decide_are_mutated_and_resets_are_not():
    """`sum` has one condition, `count` two (its second and third: that of the branch which leaves it alone does not
    matter to it), `held` two. None is the reset's."""
    text = to_rtlil(Toy(), "block")
    assert "    switch { \\enable [0] $5 [0] }" in text.splitlines()
    never = {("held" if site.line.startswith('"held"') else "super", site.place): n
             for site, n in sites(text).items() if site.kind == "if never"}
    assert never == dict.fromkeys([("super", "1"), ("super", "2"), ("super", "3"), ("held", "1"), ("held", "2")], 1)


def test_lanes_are_mutated_together_or_one_by_one():
    text = to_rtlil(Toy(), "block")
    site = next(s for s, n in sites(text).items() if s.kind == "$and as $or")
    assert sites(text)[site] == 2
    for which, cells in (("every", 2), ("first", 1), ("last", 1)):
        changed, present = with_mutants(text, {Mutant(site, which): 7})
        assert present == {7}
        assert changed.count("cell $or ") == cells


def test_a_design_without_these_sites_is_unchanged():
    text = to_rtlil(Toy(), "block")
    changed, present = with_mutants(text, {Mutant(Site("elsewhere.py", "x", "$lt as $le"), "every"): 1})
    assert not present
    assert from_rtlil(changed) == to_verilog(Toy(), "block")


def behaviour() -> list[tuple[int, ...]]:
    """What the toy puts out for all inputs, one after the other in no order."""
    block = Block(Toy)
    seen = []
    inputs = list(itertools.product(range(16), range(16), range(2)))
    random.Random(1).shuffle(inputs)
    for a, b, enable in inputs:
        block.set(a=a, b=b, enable=enable)
        seen.append(tuple(block.get(name) for name in ("sum", "count", "both", "held")))
        block.idle(1)
    return seen


def test_all_mutants_in_one_library(tmp_path, monkeypatch):
    """Number 0 behaves as the design; every other number differs, save those that cannot."""
    right = behaviour()
    mutants = every()
    numbers = write_list(tmp_path / "list.json", {"toy": mutants})
    assert read_list(tmp_path / "list.json") == numbers
    monkeypatch.setenv(MUTANTS, str(tmp_path / "list.json"))
    monkeypatch.setenv(NUMBER, "0")
    assert behaviour() == right
    library = build_block(Toy)[0]
    same = set()
    for mutant, number in numbers.items():
        monkeypatch.setenv(NUMBER, str(number))
        if behaviour() == right:
            same.add(mutant.site.kind)
        assert build_block(Toy)[0] == library
    # Of two equal numbers the greater is either of them.
    assert same == {"$lt as $le"}


def test_the_sample_is_spread_over_lines_and_repeats():
    found = {Site("bus/read_issue.py", f"line {n // 10}", "$lt as $le", str(n % 10)): 1 for n in range(100)}
    chosen = sample(found, 10, 3)["bus"]
    assert len({m.site.line for m in chosen}) == 10
    assert sample(found, 10, 3)["bus"] == chosen != sample(found, 10, 4)["bus"]


def test_the_number_is_read_from_the_environment():
    assert 'getenv(\\"SPATTEN_MUTANT\\")' in NUMBER_VERILOG and NUMBER == "SPATTEN_MUTANT"
