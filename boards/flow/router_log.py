"""Follows nextpnr's log while it runs: tells how far it is, and ends a routing that no longer gets better."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .tools import ToolError

#: Lines of the log (1,000 steps each) without fewer arcs left after which a routing is given up. In six routings of
#: `small`, of 255,000 to 327,000 steps, there were never more than two such lines in a row.
PATIENCE = 100

#: 1,000 steps: how many so far | arcs that were routed by taking out others, and without | of these steps | arcs left.
_STEPS = re.compile(r"^Info:\s+(\d+)000 \|[ \d]+\|[ \d]+\|\s+(\d+)\|")
_PLACED = re.compile(r"Max frequency for clock '([^']*)': ([\d.]+) MHz \(\w+ at ([\d.]+) MHz\)")
#: Said by nextpnr before it ends. Seen where nothing tells it the clock's pin, and it chose one that reaches no
#: global buffer.
_NO_WAY = re.compile(r"^ERROR: (Failed to route arc .*)")
_STAGES = {"Running Static placer": "spreading the cells", "legalising": "legal places", "Running SA placement":
           "refining the placement", "at iteration #": "refining the placement", "Running router": "routing"}


class Unroutable(ToolError):
    """The router no longer finds ways. `left`: arcs (of a net, to one of its sinks) without one; 0: one has no way at
    all."""

    def __init__(self, text: str, left: int):
        super().__init__(text)
        self.left = left


class RouterLog:
    """A watch for `run_tool`: reads what is new in `log`, tells `tell` of every new stage and how far the routing is,
    and raises `Unroutable` when that is stuck."""

    def __init__(self, log: Path, tell: Callable[[str], None] = lambda text: None):
        self.log = log
        self.tell = tell
        self.at = 0
        self.rest = ""
        self.told = ""
        self.placed: dict[str, tuple[float, float]] = {}
        self.fewest: int | None = None
        self.fewest_at = 0
        # What an earlier run left would be taken for this one's.
        log.unlink(missing_ok=True)

    def __call__(self) -> None:
        if not self.log.exists():
            return
        with self.log.open(errors="replace") as file:
            file.seek(self.at)
            text = self.rest + file.read()
            self.at = file.tell()
        *lines, self.rest = text.split("\n")
        for line in lines:
            self._read(line)

    def _read(self, line: str) -> None:
        if found := _PLACED.search(line):
            self.placed[found[1].removeprefix("$glbnet$")] = (float(found[2]), float(found[3]))
        elif found := _STEPS.search(line):
            self._steps(int(found[1]), int(found[2]))
        elif found := _NO_WAY.search(line):
            raise Unroutable(f"no routing: {found[1].rstrip('.')}; another seed places differently; see {self.log}", 0)
        else:
            for sign, stage in _STAGES.items():
                if sign in line and stage != self.told:
                    self.told = stage
                    self.tell(stage)

    def _steps(self, thousands: int, left: int) -> None:
        self.tell(f"routing, {thousands},000 steps: {left:,} arcs left")
        if self.fewest is None or left < self.fewest:
            self.fewest, self.fewest_at = left, thousands
        if thousands - self.fewest_at >= PATIENCE:
            raise Unroutable(f"no routing: {self.fewest:,} arcs left were the fewest, at {self.fewest_at},000 of "
                             f"{thousands},000 steps; another seed places differently, a smaller configuration leaves "
                             f"more room; see {self.log}", self.fewest)
