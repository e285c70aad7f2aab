"""nextpnr's log as it grows: progress, and a routing that gets no further."""

import sys

import pytest

from spatten_hw.boards.flow.router_log import PATIENCE, RouterLog, Unroutable
from spatten_hw.boards.flow.tools import run_tool

PLACED = ("Info: Running Static placer...\nInfo:   at iteration #1: temp = 0.0, timing cost = 1, wirelen = 4\n"
          "Info: Max frequency for clock '$glbnet$system.clk': 44.21 MHz (PASS at 40.00 MHz)\n"
          "Info: Running router1...\n"
          "Info:    IterCnt |  w/ripup   wo/ripup |  w/r  wo/r |      arcs| batch(sec) total(sec)|\n")


def steps(*left: int, first: int = 1) -> str:
    """A line of the log for each number of arcs left, after every 1,000 steps."""
    return "".join(f"Info: {n * 1000:10} |    73849     247618 |  145   770 | {arcs:9}|       3.67     447.92|\n"
                   for n, arcs in enumerate(left, first))


def test_progress_of_what_is_new(tmp_path):
    log, told = tmp_path / "log", []
    watch = RouterLog(log, told.append)
    watch()  # there is none yet
    assert told == []
    log.write_text(PLACED + steps(74_000))
    watch()
    with log.open("a") as file:
        file.write(steps(4_000, first=2)[:-20])
    watch()
    watch()
    assert told == ["spreading the cells", "refining the placement", "routing",
                    "routing, 1,000 steps: 74,000 arcs left"]
    with log.open("a") as file:
        file.write(steps(4_000, first=2)[-20:])
    watch()
    assert told[-1] == "routing, 2,000 steps: 4,000 arcs left"
    assert watch.placed == {"system.clk": (44.21, 40.0)}


def test_stuck(tmp_path):
    log = tmp_path / "log"
    watch = RouterLog(log)
    log.write_text(PLACED + steps(9_000, 700, *[700] * (PATIENCE - 1)))
    watch()
    with log.open("a") as file:
        file.write(steps(705, first=PATIENCE + 2))
    with pytest.raises(Unroutable, match=rf"700 arcs left were the fewest, at 2,000 of {PATIENCE + 2},000 steps; "
                       "another seed") as error:
        watch()
    assert error.value.left == 700


def test_a_net_without_a_way(tmp_path):
    """nextpnr ends by itself: that is a placement which does not route, as others do not, and no broken tool."""
    log = tmp_path / "log"
    command = [sys.executable, "-c", "import sys; print('ERROR: Failed to route arc 0.0 of net', repr('clk$PIO'), file="
               "open(sys.argv[1], 'w')); sys.exit(125)", str(log)]
    with pytest.raises(Unroutable, match=r"no routing: Failed to route arc 0.0 of net 'clk\$PIO'; another") as error:
        run_tool(command, tmp_path, "tool.out", RouterLog(log))
    assert error.value.left == 0 and error.value.usage.seconds > 0


def test_getting_better_slowly_is_not_stuck(tmp_path):
    log = tmp_path / "log"
    watch = RouterLog(log)
    log.write_text(PLACED + steps(*(30_000 - n for n in range(30) for _ in range(PATIENCE))))
    watch()
