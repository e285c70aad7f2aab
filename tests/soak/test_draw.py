"""Drawings cover every field, legal ones are legal, refused ones are refused as a user needs it."""

import random

import pytest

from spatten_hw.config import PLANE_WIDTHS, ConfigError, SpAttenConfig
from spatten_hw.sim.soak import refusal
from spatten_hw.sim.soak.draw import ILLEGAL, USUAL_COST, VALUES, cost, draw, legal

SEEDS = range(1, 4001)


def numeric(config: SpAttenConfig) -> dict:
    return {name: value for name, value in config.fields.items() if name not in ("name", "topk")}


def test_every_field_is_drawn():
    assert set(VALUES) == set(SpAttenConfig().fields) - {"name"}


def test_a_seed_always_gives_the_same():
    assert draw(7) == draw(7) != draw(8)


def test_legal_drawings_reach_both_ends_of_every_field():
    """And every value between, of fields that have few; without the limit of cost, which cuts none of these off."""
    rng = random.Random(1)
    seen: dict[str, set] = {name: set() for name in VALUES}
    for _ in range(4000):
        for name, value in legal(rng, USUAL_COST[-1]).items():
            seen[name].add(str(value).partition(",")[0] if name == "topk" else value)
    for name, values in VALUES.items():
        assert {values[0], values[-1]} <= seen[name], name
        if len(values) < 15:
            assert set(values) == seen[name], name
    assert set(PLANE_WIDTHS) == seen["operand_bits"]


def test_what_is_meant_to_be_legal_is():
    legal_ones = [d for d in map(draw, SEEDS) if d.meant]
    assert 0.7 * len(SEEDS) < len(legal_ones) < len(SEEDS)
    for d in legal_ones:
        d.config()
    assert sum(cost(d.fields) <= USUAL_COST[-1] for d in legal_ones) > 0.95 * len(legal_ones)


def test_refusals_are_in_order_and_name_every_field():
    named = set()
    for d in map(draw, SEEDS):
        try:
            d.config()
        except ConfigError as error:
            assert not refusal.complaints(d.fields, error.violations, d.seed), d.seed
            named |= {line.split(" = ")[0] for line in error.violations}
    assert named == set(VALUES)


@pytest.mark.parametrize("line, complaint", [
    ("slots = 3 is bad", "not 'field = value: rule; remedy'"),
    ("slots = 3: must be a power of two", "not 'field = value: rule; remedy'"),
    ("slots = 4: must be a power of two; use 2 or 4", "the field or its value is another"),
    ("slits = 3: must be a power of two; use 2 or 4", "the field or its value is another"),
])
def test_a_bad_refusal_is_noticed(line, complaint):
    fields = SpAttenConfig().fields | {"slots": 3}
    assert complaint in refusal.complaints(fields, [line], 1)[0]
    assert refusal.complaints(fields, [], 1) == ["refused without a reason"]


@pytest.mark.parametrize("remedy", ["use 3 or 5", "raise slits", "do something"])
def test_a_remedy_that_does_not_help_is_noticed(monkeypatch, remedy):
    def refused(**fields):
        raise ConfigError([f"slots = {fields['slots']}: must be a power of two; {remedy}"])

    monkeypatch.setattr(refusal, "SpAttenConfig", refused)
    with pytest.raises(ValueError, match=r"and still refused|names no field"):
        refusal.mended({"slots": 3}, 1)


def test_illegal_values_are_of_every_kind():
    kinds = {type(v) for v in ILLEGAL}
    assert {int, float, bool, str, type(None)} == kinds
