"""Follows nextpnr's log while it runs: tells how far it is, and ends a routing that no longer gets better."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .tools import ToolError

#: Rounds without fewer overused wires after which a routing is given up: while there are more than `FEW` of them, and
#: later, when they go one by one. nextpnr itself gives up after 1,000 rounds, a day of them.
PATIENCE = {"many": 6, "few": 100}
FEW = 500

_ROUND = re.compile(r"iter=(\d+) wires=\d+ overused=(\d+)")
_PLACED = re.compile(r"Max frequency for clock '([^']*)': ([\d.]+) MHz \(\w+ at ([\d.]+) MHz\)")
#: Said by nextpnr before it ends. Seen where nothing tells it the clock's pin, and it chose one that reaches no
#: global buffer.
_NO_WAY = re.compile(r"^ERROR: (Failed to route arc .*)")
_STAGES = {"Running Static placer": "spreading the cells", "legalising": "legal places", "Running SA placement":
           "refining the placement", "at iteration #": "refining the placement", "Running router": "routing"}


class Unroutable(ToolError):
    """The router no longer finds ways. `overused`: wires that more than one net has; 0: one net has no way at all."""

    def __init__(self, text: str, overused: int):
        super().__init__(text)
        self.overused = overused


class RouterLog:
    """A watch for `run_tool`: reads what is new in `log`, tells `tell` of every new stage and round, and raises
    `Unroutable` when routing is stuck."""

    def __init__(self, log: Path, tell: Callable[[str], None] = lambda text: None):
        self.log = log
        self.tell = tell
        self.at = 0
        self.rest = ""
        self.told = ""
        self.placed: dict[str, tuple[float, float]] = {}
        self.fewest: int | None = None
        self.fewest_round = 0
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
        elif found := _ROUND.search(line):
            self._round(int(found[1]), int(found[2]))
        elif found := _NO_WAY.search(line):
            raise Unroutable(f"no routing: {found[1].rstrip('.')}; another seed places differently; see {self.log}", 0)
        else:
            for sign, stage in _STAGES.items():
                if sign in line and stage != self.told:
                    self.told = stage
                    self.tell(stage)

    def _round(self, number: int, overused: int) -> None:
        self.tell(f"routing, round {number}: {overused:,} wires taken twice")
        if self.fewest is None or overused < self.fewest:
            self.fewest, self.fewest_round = overused, number
        patience = PATIENCE["many" if self.fewest > FEW else "few"]
        if number - self.fewest_round >= patience:
            raise Unroutable(f"no routing: {self.fewest:,} wires taken twice were the fewest, in round "
                             f"{self.fewest_round} of {number}; another seed places differently, a smaller "
                             f"configuration leaves more room; see {self.log}", self.fewest)
