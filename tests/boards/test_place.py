"""Places once and routes more than once, with a nextpnr that takes no time."""

import sys
import textwrap

import pytest

from spatten_hw.boards.flow.devices import LFE5U_85F
from spatten_hw.boards.flow.place import ROUTINGS, SEED_STEP, place, place_seeds

SEED = 3
STUCK = 0.0
#: A nextpnr: its placement promises 45 MHz; its routings come to the MHz of `reached`, by their seeds, or do not end.
TOOL = """\
    import json, sys, time

    def option(name):
        return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None

    reached = {reached!r}
    placing = "--no-route" in sys.argv
    with open(option("--log"), "w") as log:
        if placing:
            log.write("Info: Max frequency for clock '$glbnet$clk': 45.00 MHz (FAIL at 50.20 MHz)\\n")
            open(option("--write"), "w").write("placed")
            mhz = 45
        else:
            assert open(option("--json")).read() == "placed" and option("--freq") == "50.2"
            mhz = reached[int(option("--seed"))]
        if not mhz:
            log.writelines(f"Info: {{n}}000 | 1 1 | 1 1 |  700| 1.0 1.0|\\n" for n in range(1, 200))
            log.flush()
            time.sleep(600)
    if option("--textcfg"):
        open(option("--textcfg"), "w").write(str(mhz))
    json.dump({{"fmax": {{"$glbnet$clk": {{"achieved": mhz, "constraint": 50.2}}}},
               "utilization": {{"TRELLIS_FF": {{"used": 7, "available": 9}}}}, "critical_paths": []}},
              open(option("--report"), "w"))
    """


def placed(monkeypatch, folder, *reached, tell=lambda text: None):
    tool = folder / "nextpnr.py"
    seeds = {SEED + SEED_STEP * number: mhz for number, mhz in enumerate(reached)}
    tool.write_text(textwrap.dedent(TOOL).format(reached=seeds))
    monkeypatch.setenv("NEXTPNR_ECP5", f"{sys.executable} {tool}")
    (folder / "netlist.json").write_text("{}")
    return place(folder / "netlist.json", LFE5U_85F, SEED, 50, folder, tell=tell, about="1/1")


@pytest.mark.parametrize(("reached", "taken"), [
    ((51,), 51), ((44, 41, 46), 46), ((48, 47, 46), 48), ((44, 52), 52), ((STUCK, 44, STUCK), 44)])
def test_the_best_of_some_routings(monkeypatch, tmp_path, reached, taken):
    """None more once the clock is met; what is kept is of the best."""
    result = placed(monkeypatch, tmp_path, *reached)
    assert result.routings == reached and result.slowest.reached == taken and result.slowest.wanted == 50.2
    assert result.met == (taken > 50.2) and not result.stuck and result.used == {"TRELLIS_FF": 7}
    assert result.config.read_text() == str(taken) and result.as_json["routings"] == list(reached)
    assert not (tmp_path / "seed3.placed.json").exists()


def test_a_router_that_is_always_stuck(monkeypatch, tmp_path):
    """The tool is killed, the placement says why and keeps what it promised; an earlier run's file is gone."""
    earlier = tmp_path / "seed3-routed2.config"
    earlier.write_text("of an earlier run")
    told = []
    result = placed(monkeypatch, tmp_path, *[STUCK] * ROUTINGS, tell=told.append)
    assert "700 arcs left were the fewest" in result.stuck and result.config is None and not earlier.exists()
    assert not result.met and result.slowest.reached == 45 and result.usage.wall < 60
    assert told[-1].startswith("1/1: routing, 101,000 steps: 700 ")
    assert result.routings == (STUCK,) * ROUTINGS


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_placement_per_seed(monkeypatch, tmp_path, jobs):
    """In the order of the seeds, each told with its number."""
    placed(monkeypatch, tmp_path, 51, 52)
    told = []
    results = place_seeds(tmp_path / "netlist.json", LFE5U_85F, [SEED + SEED_STEP, SEED], 50, tmp_path,
                          tell=told.append, jobs=jobs)
    assert [(p.seed, p.slowest.reached, p.config.read_text()) for p in results] == [(1003, 52, "52"), (3, 51, "51")]
    assert all(text.startswith(("place and route 1/2, seed 1003: ", "place and route 2/2, seed 3: ")) for text in told)
