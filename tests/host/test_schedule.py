"""Schedules: their properties for random settings and inputs, the documented examples, and what they refuse."""

import itertools
import random
import re
import tomllib
from pathlib import Path

import pytest

from spatten_hw.host import FixedCounts, FixedRatios, PaperSchedule, ScheduleError
from spatten_hw.host.workload.options import Shape, WorkloadError
from spatten_hw.host.workload.read_options import parse_options
from spatten_hw.host.workload.schedule import whole_count
from spatten_hw.host.workload.schedule_fields import read_schedule

DOCS = Path(__file__).parents[2] / "docs" / "workloads.md"
SEEDS = range(300)


def falling(rng, layers, draw):
    """A setting of `layers` entries that do not rise, some of them None; or one; or None."""
    entries = sorted((draw() for _ in range(layers)), reverse=True)
    return rng.choice([None, draw(), [None if rng.random() < 0.2 else x for x in entries]])


def any_schedule(rng, layers, heads, protected):
    """A random schedule of a random kind that fits so many layers, heads and protected tokens."""
    kind = rng.choice(["paper", "counts", "ratios"])
    if kind == "paper":
        of_tokens, of_heads = (sorted(rng.choice([0.0, 1.0, rng.random(), rng.randrange(100) / 100]) for _ in range(2))
                               for _ in range(2))
        return PaperSchedule(of_tokens, of_heads, rng.random(), rng.choice([0.0, 0.15, 0.5, 1.0]),
                             rng.choice([0.0, 0.3, 1.0]), rng.choice([0, 0, 5, 40]))
    if kind == "counts":
        return FixedCounts(falling(rng, layers, lambda: rng.randint(max(1, protected), 99)),
                           falling(rng, layers, lambda: rng.randint(1, heads)),
                           falling(rng, layers, lambda: rng.randint(1, 99)))
    return FixedRatios(*(falling(rng, layers, lambda: rng.choice([1, 1 - rng.random(), 0.01])) for _ in range(3)))


def drawn(seed):
    print(f"seed {seed}")
    rng = random.Random(seed)
    layers, heads, protected = rng.randint(1, 26), rng.randint(1, 16), rng.choice([0, 0, 1, 3, 9])
    schedule = any_schedule(rng, layers, heads, protected)
    print(schedule, f"{layers} layers, {heads} heads, {protected} protected")
    return rng, schedule, layers, heads, protected


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_are_within_bounds_and_never_rise(seed):
    rng, schedule, layers, heads, protected = drawn(seed)
    tokens = rng.choice([1, 2, rng.randint(1, 20), rng.randint(1, 400)])
    c = schedule.counts(layers, tokens, heads, protected)
    assert len(c.tokens) == len(c.heads) == len(c.values) == layers
    for counts, most in ((c.tokens, tokens), (c.heads, heads)):
        assert all(1 <= n <= most and isinstance(n, int) for n in counts)
        assert all(a >= b for a, b in itertools.pairwise(counts))
    assert all(n >= min(tokens, protected) for n in c.tokens)
    assert all(1 <= n <= alive for n, alive in zip(c.values, c.tokens, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_never_fall_with_length(seed):
    rng, schedule, layers, heads, protected = drawn(seed)
    start = rng.randint(1, 150)
    steps = schedule.generation(layers, range(start, start + 60), heads, protected)
    assert len(steps) == 60
    for before, after in itertools.pairwise(steps):
        assert before.heads == after.heads
        assert all(a <= b for a, b in zip(before.tokens + before.values, after.tokens + after.values, strict=True))


@pytest.mark.parametrize("layers, tokens_whole, heads_whole", [(1, 1, 1), (2, 1, 1), (6, 1, 2), (12, 2, 4),
                                                              (20, 3, 6), (24, 4, 8)])
def test_paper_leaves_its_front_whole(layers, tokens_whole, heads_whole):
    c = PaperSchedule((0.5, 0.5), (0.5, 0.5)).counts(layers, 100, 10)
    assert c.tokens == (100,) * tokens_whole + (50,) * (layers - tokens_whole)
    assert c.heads == (10,) * heads_whole + (5,) * (layers - heads_whole)


def test_paper_is_linear_between_start_and_end():
    c = PaperSchedule((0.1, 0.5), front_tokens=0.2).counts(10, 1000, 8)
    assert c.tokens == (1000, 1000, 900, 843, 786, 729, 672, 615, 558, 500)
    assert c.heads == (8,) * 10 and c.values == c.tokens
    # Start and end together are twice the average.
    assert abs(sum(1000 - n for n in c.tokens[2:]) / 8 - 300) < 1
    assert PaperSchedule((0.1, 0.5)).counts(2, 100, 8).tokens == (100, 50), "one layer has the end's ratio"
    assert PaperSchedule((0.1, 0.5), front_tokens=0).counts(2, 100, 8).tokens == (90, 50)


def test_paper_prunes_longer_inputs_harder():
    s = PaperSchedule((0.5, 0.9), free_tokens=32)
    lost = [1 - s.counts(4, n, 1).tokens[-1] / n for n in (8, 32, 64, 128, 512, 4096)]
    assert lost[:2] == [0, 0] and all(a < b < 0.9 for a, b in itertools.pairwise(lost[1:]))


def test_paper_with_protected_tokens():
    s = PaperSchedule((0.5, 1.0))
    assert s.counts(4, 20, 2).tokens == (20, 10, 5, 1)
    assert s.counts(4, 20, 2, protected=7).tokens == (20, 10, 7, 7)
    assert s.counts(4, 5, 2, protected=7).tokens == (5, 5, 5, 5)


def test_the_rounding_rule():
    assert [whole_count(x, 10) for x in (0.0, 0.2, 1.0, 1.01, 9.99, 55.0)] == [1, 1, 1, 2, 10, 10]
    assert 0.55 * 100 > 55 and whole_count(0.55 * 100, 100) == 55
    assert (whole_count(2, 10, 4), whole_count(2, 3, 4)) == (4, 3)


def test_one_entry_spares_the_first_layer():
    assert FixedCounts(4, 1, 2).counts(3, 9, 2) == FixedCounts([None, 4, 4], [None, 1, 1], [2, 2, 2]).counts(3, 9, 2)
    assert FixedRatios(0.5, 0.5, 0.5).counts(3, 9, 2).values == (5, 3, 3)


def documented():
    """(job, input size, rows of counts) of every example in the docs."""
    section = DOCS.read_text().split("## Schedules\n")[1].split("\n## ")[0]
    for block, table in re.findall(r"```toml\n(.*?)```\n\n(.*?)\n\n", section, re.S):
        for row in table.splitlines()[2:]:
            size, *counts = (cell.strip() for cell in row.strip("| ").split("|"))
            yield tomllib.loads(block), int(size.split()[0]), [[int(n) for n in c.split()] for c in counts]


EXAMPLES = list(documented())


def test_every_kind_is_documented():
    assert sorted({job["schedule"]["kind"] for job, _, _ in EXAMPLES}) == ["counts", "paper", "ratios"]
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("job, tokens, counts", EXAMPLES)
def test_documented_examples(job, tokens, counts):
    c = read_schedule(job["schedule"]).counts(4, tokens, 4, job["protect_first"])
    assert [list(c.tokens), list(c.heads), list(c.values)] == counts
    # The same through the job; padding is not counted.
    for padding in (0, 7):
        total = tokens + padding
        o = parse_options({**job, "mask": tokens}, Shape(4, 8, 4, total, total, 16), "x")
        assert [[list(x) for x in keep] for keep in (o.keep_tokens, o.keep_heads, o.keep_values)] == [
            [row] for row in counts]


def test_generation_is_asked_per_step():
    job = {"stage": "generate", "protect_last": 4,
           "schedule": {"kind": "ratios", "keep_tokens": [1, 0.5], "keep_values": 0.5}}
    o = parse_options(job, Shape(2, 1, 1, 4, 11, 16), "x")
    assert o.keep_tokens == ((8, 4), (9, 5), (10, 5), (11, 6))
    assert o.keep_values == ((4, 2), (5, 3), (5, 3), (6, 3)) and o.keep_heads == ((1, 1),) * 4
    o = parse_options(job | {"protect_last": 5, "mask": 9}, Shape(2, 1, 1, 4, 11, 16), "x")
    assert o.keep_tokens == ((8, 5), (9, 5), (9, 5), (9, 5))


@pytest.mark.parametrize("table, says", [
    (3, ["schedule = 3: must be a table"]), ({}, ["kind = None"]), ({"kind": "linear"}, ["'linear'", "paper"]),
    ({"kind": ["paper"]}, ["kind = ['paper']"]),
    ({"kind": "paper", "prune_tokens": [0.5, 0.2]}, ["prune_tokens = [0.5, 0.2]", "start must not exceed end"]),
    ({"kind": "paper", "prune_tokens": 0.5, "prune_heads": [0, 1.5], "prune_values": float("nan"), "front_tokens": True,
      "front_heads": -0.1, "free_tokens": 1.5, "keep": 1},
     ["prune_tokens = 0.5", "prune_heads = [0, 1.5]", "prune_values = nan", "front_tokens = True",
      "front_heads = -0.1", "free_tokens = 1.5", "keep = 1: is not a field of kind 'paper'"]),
    ({"kind": "paper", "prune_values": "all", "free_tokens": "all"}, ["prune_values = None", "free_tokens = None"]),
    ({"kind": "counts", "keep_tokens": [4, "all", 5], "keep_heads": 0, "keep_values": [2.0]},
     ["keep_tokens = [4, None, 5]: must not rise", "keep_heads = 0", "keep_values = [2.0]"]),
    ({"kind": "counts", "keep_tokens": [], "keep_heads": [[1, 1]], "keep_values": True},
     ["keep_tokens = []", "keep_heads = [[1, 1]]", "keep_values = True"]),
    ({"kind": "ratios", "keep_tokens": 0.0, "keep_heads": [1, 1.1], "keep_values": "half", "prune_heads": 1},
     ["keep_tokens = 0.0", "keep_heads = [1, 1.1]", "keep_values = 'half'", "prune_heads = 1: is not a field"]),
])
def test_every_violation_is_listed(table, says):
    with pytest.raises(ScheduleError) as e:
        read_schedule(table)
    assert "\n" not in str(e.value)
    if len(says) > 2:
        assert len(e.value.violations) == len(says)
    for words in says:
        assert words in str(e.value)
    # In a job: one line, with the source.
    with pytest.raises(WorkloadError, match=r"^w\.npz: job\.schedule: ") as e:
        parse_options({"schedule": table}, Shape(2, 1, 1, 6, 6, 16), "w.npz")
    assert "\n" not in str(e.value) and says[0] in str(e.value)


def test_what_does_not_fit_the_input():
    s = FixedCounts([None, 5, 3], 4, [2, 2])
    with pytest.raises(ScheduleError) as e:
        s.counts(3, 9, 2, protected=4)
    assert len(e.value.violations) == 3
    for words in ("keep_values = [2, 2]: has 2 entries for 3 layers", "4 protected", "only 2 K/V heads"):
        assert words in str(e.value)
    # All of a short input is kept, so nothing protected is pruned.
    assert FixedCounts(3).counts(3, 3, 2, protected=4).tokens == (3, 3, 3)
    with pytest.raises(ScheduleError, match=r"layers = 0.*tokens = -1"):
        PaperSchedule().counts(0, -1, 2)
    with pytest.raises(ScheduleError, match="3 entries for 2 layers"):
        FixedRatios([1, 0.5, 0.25]).counts(2, 9, 2)


def test_schedule_beside_counts():
    for key in ("keep_tokens", "keep_heads", "keep_values"):
        with pytest.raises(WorkloadError, match=rf"job\.schedule: is given beside job\.{key}; leave out"):
            parse_options({"schedule": {"kind": "paper"}, key: [1, 1]}, Shape(2, 1, 1, 6, 6, 16), "x")
    o = parse_options({"schedule": {"kind": "paper"}, "keep_tokens": None}, Shape(2, 1, 1, 6, 6, 16), "x")
    assert o.keep_tokens == ((6, 6),)


def test_a_prompt_keeps_its_tokens():
    s = FixedRatios(keep_tokens=0.5, keep_heads=0.5, keep_values=0.25)
    whole, pruned = s.counts(3, 40, 8, prune_tokens=False), s.counts(3, 40, 8)
    assert whole.tokens == (40, 40, 40) and whole.values == (10, 10, 10)
    assert pruned.tokens == (40, 20, 20) and pruned.values == (10, 5, 5) and whole.heads == pruned.heads == (8, 4, 4)
