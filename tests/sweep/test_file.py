"""What a sweep's file may say, and each mistake in one line."""

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.sweep.file import ParetoChoice, read_sweep
from spatten_hw.sim.sweep.space import points

GOOD = '[workload]\ncase = "generate-1000"\n'


def read(tmp_path, text):
    path = tmp_path / "s.toml"
    path.write_text(text, encoding="utf-8")
    return read_sweep(path)


def values(sweep, section, name):
    return [p[section][name] for p in points("s.toml", sweep.space, sweep.draws, sweep.seed)]


def test_defaults(tmp_path):
    sweep = read(tmp_path, GOOD)
    assert (sweep.name, sweep.measure, sweep.draws, sweep.pareto) == ("s", ("model",), 0, ())
    assert len(list(points("s.toml", sweep.space, 0, 1))) == 1


def test_grid_and_alternatives(tmp_path):
    sweep = read(tmp_path, GOOD + """
[config]
channels = [1, 2]
multipliers = {from = 32, to = 256, times = 2}
[[policy]]
bits = [8, "6+4"]
[[policy]]
keep = {from = 0.1, to = 0.5, step = 0.2}
""")
    found = list(points("s.toml", sweep.space, 0, 1))
    assert len(found) == 2 * 4 * (2 + 3)
    assert [p["policy"] for p in found[:5]] == [{"bits": (8, 0)}, {"bits": (6, 4)}, {"keep": 0.1}, {"keep": 0.3},
                                                {"keep": 0.5}]
    assert sorted(set(values(sweep, "config", "multipliers"))) == [32, 64, 128, 256]


def test_draws_are_the_same_again_and_more_of_them_begin_alike(tmp_path):
    text = "draws = {}\nseed = 3\n" + GOOD + ("[config]\nchannels = [1, 2, 4]\njob_queue = {{from = 2, to = 16}}\n"
                                              "[policy]\nkeep = {{from = 0.1, to = 1.0}}\n")
    few, many = ([*points("s", s.space, s.draws, s.seed)] for s in (read(tmp_path, text.format(n)) for n in (40, 80)))
    assert many[:40] == few and len(many) == 80
    assert {p["config"]["channels"] for p in many} == {1, 2, 4}
    assert all(2 <= p["config"]["job_queue"] <= 16 and 0.1 <= p["policy"]["keep"] <= 1 for p in many)
    assert len({p["policy"]["keep"] for p in many}) > 70


def test_none_is_a_value(tmp_path):
    sweep = read(tmp_path, GOOD + '[policy]\nkeep_mass = ["none", 0.9]\n')
    assert values(sweep, "policy", "keep_mass") == [None, 0.9]


def test_pareto(tmp_path):
    sweep = read(tmp_path, 'measure = ["model", "area"]\n' + GOOD + '[area]\nby = "law"\n[[pareto]]\nx = "model_us"\n'
                 'y = "area_luts"\n[[pareto]]\nx = "model_us"\ny = "model_bytes"\nby = ["bits"]\n')
    assert sweep.pareto == (ParetoChoice("model_us", "area_luts"),
                            ParetoChoice("model_us", "model_bytes", ("bits",)))
    assert sweep.area.by == "law"


WRONG = {
    "": "workload: must have one of case, requests and tokens",
    GOOD + "tokens = 5\n": "has case and tokens; use [[workload]] for each",
    GOOD + "dim = 5\n": "dim does not go with case",
    GOOD + "[confg]\n": "unknown entry 'confg' (did you mean 'config'?)",
    GOOD + "[config]\nchanels = 2\n": "config: unknown field 'chanels' (did you mean 'channels'?)",
    GOOD + '[config]\nchannels = "two"\n': "config.channels = 'two': must be a whole number",
    GOOD + "[config]\nchannels = []\n": "config.channels: is an empty list",
    GOOD + "[config]\nchannels = [1, 1]\n": "config.channels: has 1 twice",
    GOOD + "[config]\nchannels = 1.5\n": "config.channels = 1.5: must be a whole number",
    GOOD + '[config]\npreset = "smal"\n': "must be one of small, eighth, full (did you mean 'small'?)",
    GOOD + "[config]\nchannels = {from = 1}\n": "a range is {from = …, to = …}",
    GOOD + "[config]\nchannels = {from = 1, to = 4, by = 2}\n": "it has by",
    GOOD + "[config]\nchannels = {from = 4, to = 1}\n": "from = 4 is above to = 1",
    GOOD + "[config]\nchannels = {from = 0, to = 4, times = 2}\n": "times = 2 leads nowhere",
    GOOD + "[config]\nchannels = {from = 1, to = 4, step = -1}\n": "step = -1 leads nowhere",
    GOOD + "[config]\nchannels = {from = 1, to = 4}\n": "config.channels: a range without step or times has no end",
    GOOD + "[policy]\nkeep = {from = 0.1, to = 1, step = 0.000001}\n": "has more than 100,000 values",
    GOOD + "[policy]\nkeep = 1.5\n": "policy.keep = 1.5: must be a number above 0, at most 1",
    GOOD + '[policy]\nbits = "6+3"\n': "or MSBs and 4 LSBs like \"6+4\"",
    GOOD + "[policy]\nbits = 7\n": "policy.bits = 7: must be one of 4, 6, 8",
    GOOD + "[policy]\ngive_back = 1\n": "policy.give_back = 1: must be true or false",
    GOOD + '[policy]\ngive_back = {from = false, to = true}\n': "from = False: must be a number",
    GOOD + '[memory]\nname = "hbm3"\n': "(did you mean 'hbm2'?)",
    '[workload]\ncase = "generate-10000"\n': "(did you mean 'generate-1000'?)",
    '[workload]\nrequests = "none.csv"\n': "there is no file none.csv",
    'measure = "speed"\n' + GOOD: "measure = 'speed': must list what is measured, of model, rtl, area",
    'name = "../x"\n' + GOOD: "name = '../x': must name a folder of results",
    "draws = -1\n" + GOOD: "draws = -1: must be a whole number, at least 0",
    "draws = [1, 2]\n" + GOOD: "draws: must be a single value",
    GOOD + '[area]\nby = "law"\n': 'measure has no "area"; add it',
    'measure = "area"\n' + GOOD + '[area]\nby = "lore"\n': "area.by = 'lore': must be one of synthesis, law",
    'measure = "area"\n' + GOOD + '[area]\nby = "law"\nliberty = "x.lib"\n': "liberty is for synthesis",
    'measure = "area"\n' + GOOD + '[area]\nliberty = "x.lib"\n': "s.toml: area.liberty: there is no file x.lib",
    GOOD + '[[pareto]]\nx = "model_us"\ny = "speed"\n': "pareto.y: unknown metric 'speed'",
    GOOD + '[[pareto]]\nx = "model_us"\ny = "area_luts"\n': "'area_luts' is not measured; add \"area\" to measure",
    GOOD + '[[pareto]]\nx = "model_us"\n': "pareto must be tables [[pareto]] with x = METRIC, y = METRIC",
    GOOD + '[[pareto]]\nx = "model_us"\ny = "model_bytes"\nby = ["shape"]\n': "unknown column 'shape'",
    GOOD + "[config]\nchannels = [" + ", ".join(map(str, range(1100))) + "]\nslots = ["
    + ", ".join(map(str, range(1100))) + "]\n": "has 1,210,000 points, at most 1,000,000 are measured",
    "[workload\n": "is not valid TOML",
    "PK\x03\x04": "is not valid TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_one_line(text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.toml"
    path.write_text(text, encoding="utf-8")
    assert main(["sweep", "s.toml", "-o", "out"]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "reading the points" not in line]
    assert len(said) == 1 and said[0].startswith("spatten-hw: error: ") and WRONG[text] in said[0]
    assert [p.name for p in tmp_path.iterdir()] == ["s.toml"]


def test_a_file_that_is_not_there(capsys):
    assert main(["sweep", "none.toml"]) == 2
    assert capsys.readouterr().err == "spatten-hw: error: none.toml: No such file or directory\n"
