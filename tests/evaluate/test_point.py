"""Points: their files, labels and what is refused."""

from __future__ import annotations

import pytest

from spatten_hw.errors import UserError
from spatten_hw.host.rules import BY_KEY
from spatten_hw.presets import EIGHTH, SMALL
from spatten_hw.sim.evaluate.grid import default_grid, unique
from spatten_hw.sim.evaluate.language_grid import language_grid, task_grid
from spatten_hw.sim.evaluate.point import Point, PointError
from spatten_hw.sim.evaluate.points_file import read_points


def points(tmp_path, text):
    path = tmp_path / "points.toml"
    path.write_text(text)
    return read_points(path)


def test_file(tmp_path):
    got = points(tmp_path, """
[[point]]
model = "decoder"
bits = [6, 4]
threshold = 0.25
keep_tokens = 0.5
keep_heads = [1, 0.75]
[[point]]
bits = "float"
[[point]]
model = "decoder"
bits = [4, 4]
threshold = 1
lsb_margin = 3
keep_mass = 0.9
give_back = true
""")
    assert got == [Point("decoder", (6, 4), threshold=0.25, keep_tokens=(0.5, 0.5), keep_heads=(1.0, 0.75)),
                   Point("encoder", None), Point("decoder", None),
                   Point("decoder", (4, 4), threshold=1.0, lsb_margin=3.0, keep_mass=0.9, give_back=True)]
    assert got[3].decoder_settings.rules == got[3].precision.rules == BY_KEY and got[3].prunes
    assert got[3].label == "4+4 bit, threshold 1, by key 3 nats, mass 0.9, given back"
    assert got[0].precision.whole == (10, 10, 10) and got[0].precision.threshold == 1024
    assert got[0].label == "6+4 bit, threshold 0.25, tokens 0.5, heads 1…0.75, newest 8"


def test_schedule_keeps_what_is_said():
    counts = Point("decoder", keep_tokens=(0.8, 0.5), keep_values=0.25).schedule.counts(4, 100, 8)
    assert counts.tokens == (100, 80, 65, 50) and counts.values == (25, 20, 17, 13) and counts.heads == (8,) * 4


@pytest.mark.parametrize("text, message", [
    ("", "must hold tables"),
    ("[[point]]\nbits = ", "not valid TOML"),
    ("x = 1\n[[point]]\nbits = 8", "must hold tables"),
    ("[[point]]\ntreshold = 0.1", "point 1: unknown field 'treshold' (did you mean 'threshold'?)"),
    ("[[point]]\nbits = 8\n[[point]]\nbits = \"8\"", "point 2: bits = '8'"),
    ("[[point]]\nkeep_tokens = [1, 0.5, 0.2]", "or two in a list"),
    ("[[point]]\nkeep_values = true", "keep_values = True: must be a number"),
    ("[[point]]\npool_dropped = 1", "must be true or false"), ("[[point]]\ngive_back = 1", "must be true or false"),
    ("[[point]]\nlsb_margin = \"3\"", "lsb_margin = '3': must be a number"),
])
def test_bad_file(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        points(tmp_path, text)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_widths_of_the_language_model(tmp_path):
    """V's widths are read as K's are."""
    text = "".join(f'[[point]]\nmodel = "smollm2"\nbits = 8\nv_bits = {v}\n' for v in ("4", "[4, 0]", "[4, 4]"))
    assert [p.v_bits for p in points(tmp_path, text)] == [(4, 0), (4, 0), (4, 4)]
    assert points(tmp_path, text)[0].decoder_settings.bits == {"q": 8, "k": 8, "v": 4}


def test_heads_of_the_language_model_are_not_compared():
    with pytest.raises(PointError, match="keep_heads is given"):
        Point("smollm2", keep_heads=(0.5, 0.5)).check(EIGHTH)


def test_the_language_models_grids_can_be_run():
    for series in (language_grid(False), language_grid(True), task_grid(1024), task_grid(512)):
        every = unique(series)
        for point in every:
            point.check(EIGHTH)
        assert len({p.label for p in every}) == len(every)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"no\.toml: No such file"):
        read_points(tmp_path / "no.toml")


@pytest.mark.parametrize("fields, message", [
    ({"bits": (7, 0)}, "use one of"), ({"bits": (8, 2)}, "use one of"), ({"bits": (12, 4)}, "operand_bits = 12"),
    ({"q_bits": 5}, "q_bits = 5"), ({"threshold": 1.5}, "threshold"), ({"keep_tokens": (0.5, 0.8)}, "not rise"),
    ({"keep_heads": (0.5, 0.0)}, "above 0"), ({"keep_values": 0.0}, "keep_values"), ({"protect_last": 0}, "at least 1"),
    ({"front_tokens": 2.0}, "front_tokens"), ({"lsb_margin": 3.0}, "no LSBs"), ({"keep_mass": 0.0}, "above 0"),
    ({"bits": (6, 4), "lsb_margin": -1.0}, "lsb_margin is -1.0"), ({"bits": None, "lsb_margin": 1.0}, "no LSBs"),
])
def test_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Point("decoder", **fields).check(SMALL)
    with pytest.raises(PointError, match="encoder, decoder, smollm2 or classifier"):
        Point("gru").check(SMALL)
    with pytest.raises(PointError, match="no steps of generation"):
        Point("encoder", (4, 4), lsb_margin=1.0).check(SMALL)


@pytest.mark.parametrize("fields, message", [
    ({"k_scale": "row"}, "use one of head, channel, pair, prompt, unrotated"),
    ({"v_scale": "pair"}, "use one of head, channel"),
    ({"v_bits": (5, 0)}, "v_bits = "), ({"cache": 9}, "evict is missing"), ({"evict": "lru"}, "evict = 'lru'"),
    ({"evict": "snapkv", "cache": 32}, "'snapkv' protects 32 tokens"), ({"evict": "h2o"}, "cache = 0"),
    ({"evict": "h2o", "cache": 9, "keep_tokens": (0.5, 0.5)}, "drops tokens for good"),
    ({"k_scale": "unrotated", "bits": (4, 4)}, "static widths of K"),
])
def test_refused_of_the_language_model(fields, message):
    with pytest.raises(PointError, match=message):
        Point("smollm2", **fields).check(EIGHTH)
    with pytest.raises(PointError, match="the decoder does not have it"):
        Point("decoder", **{name: x for name, x in fields.items() if name != "keep_tokens"}).check(EIGHTH)


@pytest.mark.parametrize("model", ["encoder", "decoder"])
def test_default_grids(model):
    series = default_grid(model)
    every = unique(series)
    for p in every:
        p.check(SMALL)
    assert len({s.name for s in series}) == len(series)
    # What has to be compared: all widths unpruned, progressive settings over thresholds.
    static = {p.bits[0] for p in every if p.bits and not p.bits[1] and not p.prunes}
    assert static == {4, 6, 8, 10, 12}
    assert {p.bits for p in every if p.bits and p.bits[1] and p.threshold == 0.1} >= {(4, 4), (6, 4), (8, 4)}
    assert set(unique(default_grid(model, quick=True))) < set(every) | set(unique(default_grid(model, quick=True)))
    assert len(unique(default_grid(model, quick=True))) < len(every) / 2
    labels = [p.label for p in every]
    assert len(set(labels)) == len(labels)
