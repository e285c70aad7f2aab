"""nextpnr's log as it grows: progress, and a routing that gets no further."""

import sys

import pytest

from spatten_hw.boards.flow.router_log import FEW, PATIENCE, RouterLog, Unroutable
from spatten_hw.boards.flow.tools import run_tool

PLACED = ("Info: Running Static placer...\nInfo:   at iteration #1: temp = 0.0, timing cost = 1, wirelen = 4\n"
          "Info: Max frequency for clock '$glbnet$system.clk': 44.21 MHz (PASS at 40.00 MHz)\n"
          "Info: Running router2...\n")


def rounds(*overused: int, first: int = 1) -> str:
    return "".join(f"Info:     iter={n} wires=1067638 overused={wires} overuse=9 archfail=NA\n"
                   for n, wires in enumerate(overused, first))


def test_progress_of_what_is_new(tmp_path):
    log, told = tmp_path / "log", []
    watch = RouterLog(log, told.append)
    watch()  # there is none yet
    assert told == []
    log.write_text(PLACED + rounds(74_000))
    watch()
    with log.open("a") as file:
        file.write(rounds(4_000, first=2)[:-20])
    watch()
    watch()
    assert told == ["spreading the cells", "refining the placement", "routing",
                    "routing, round 1: 74,000 wires taken twice"]
    with log.open("a") as file:
        file.write(rounds(4_000, first=2)[-20:])
    watch()
    assert told[-1] == "routing, round 2: 4,000 wires taken twice"
    assert watch.placed == {"system.clk": (44.21, 40.0)}


@pytest.mark.parametrize(("fewest", "patience"), [(FEW + 1, PATIENCE["many"]), (FEW, PATIENCE["few"])])
def test_stuck(tmp_path, fewest, patience):
    log = tmp_path / "log"
    watch = RouterLog(log)
    log.write_text(PLACED + rounds(9_000, fewest, *[fewest] * (patience - 1)))
    watch()
    with log.open("a") as file:
        file.write(rounds(fewest + 5, first=patience + 2))
    with pytest.raises(Unroutable, match=rf"{fewest:,} wires .* in round 2 of {patience + 2}; "
                       "another seed") as error:
        watch()
    assert error.value.overused == fewest


def test_a_net_without_a_way(tmp_path):
    """nextpnr ends by itself: that is a placement which does not route, as others do not, and no broken tool."""
    log = tmp_path / "log"
    command = [sys.executable, "-c", "import sys; print('ERROR: Failed to route arc 0.0 of net', repr('clk$PIO'), file="
               "open(sys.argv[1], 'w')); sys.exit(125)", str(log)]
    with pytest.raises(Unroutable, match=r"no routing: Failed to route arc 0.0 of net 'clk\$PIO'; another") as error:
        run_tool(command, tmp_path, "tool.out", RouterLog(log))
    assert error.value.overused == 0 and error.value.usage.seconds > 0


def test_getting_better_slowly_is_not_stuck(tmp_path):
    log = tmp_path / "log"
    watch = RouterLog(log)
    log.write_text(PLACED + rounds(*(30_000 - n for n in range(300) for _ in range(PATIENCE["many"]))))
    watch()
