"""nextpnr-ecp5: one run of it, watched, and what it reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spatten_hw.errors import UserError

from .devices import Device
from .paths import CriticalPath, read_paths
from .router_log import RouterLog
from .tools import Usage, nextpnr_command, run_tool

#: Takes out what is in the way, arc by arc. nextpnr's other router, router2, tries all nets at once, round after round;
#: where `small` is dense it came to some 4,000 wires taken twice and no further, on the placement that this one routed
#: in seven minutes (docs/fpga-findings.md). Said to every run: a placement keeps the router it was made for.
ROUTER = "router1"


@dataclass(frozen=True)
class Clock:
    """MHz that a clock reaches, and MHz it must have."""

    reached: float
    wanted: float

    @property
    def met(self) -> bool:
        return self.reached >= self.wanted


@dataclass(frozen=True)
class Run:
    """What a run came to. `clocks`: net → clock; `used`, `available`: nextpnr's cell type → number; `paths`: the
    critical path of every clock, slowest first."""

    clocks: Mapping[str, Clock]
    used: Mapping[str, int]
    available: Mapping[str, int]
    paths: tuple[CriticalPath, ...]
    usage: Usage


@dataclass(frozen=True)
class Nextpnr:
    """nextpnr-ecp5 for `device` in `folder`, with the constraints `lpf` if there are any; `tell` is told of every
    step; `sources`: net → source references."""

    device: Device
    folder: Path
    lpf: Path | None
    tell: Callable[[str], None]
    sources: Mapping[str, str] = field(default_factory=dict)

    def run(self, netlist: Path, name: str, seed: int, mhz: float, *options: str) -> Run:
        """Runs with `options` on `netlist`, which lies in the folder, as `lpf` does; clocks without a constraint must
        reach `mhz`. Leaves `<name>.json` (its report) and `nextpnr-<name>.log`. Raises `Unroutable` (a router that is
        stuck) or another `ToolError`, and `UserError` for a device that it does not know or a netlist without a
        clock."""
        if self.device.place is None:
            raise UserError(f"{self.device.name}: no open tool of pip places and routes this device")
        report, log = self.folder / f"{name}.json", self.folder / f"nextpnr-{name}.log"
        report.unlink(missing_ok=True)
        command = [*nextpnr_command(), *self.device.place, "--json", self._inside(netlist), "--seed", str(seed),
                   "--freq", str(mhz), "--timing-allow-fail", "--report", report.name, "--quiet", "--log", log.name,
                   "--router", ROUTER, *options]
        command += ["--lpf", self._inside(self.lpf)] if self.lpf else ["--lpf-allow-unconstrained"]
        watch = RouterLog(log, self.tell)
        usage = run_tool(command, self.folder, f"nextpnr-{name}.out", watch)
        text = report.read_text()
        clocks, used, available = read_report(text)
        if "--no-route" in options:
            # What the placer promises, with estimated wires, is in its log only.
            clocks = {net: Clock(*reached_and_wanted) for net, reached_and_wanted in watch.placed.items()}
        if not clocks:
            raise UserError(f"{netlist}: nothing is clocked; there is no frequency to report")
        return Run(clocks, used, available, read_paths(text, self.sources), usage)

    def _inside(self, path: Path) -> str:
        return str(path.resolve().relative_to(self.folder.resolve()))


def read_report(text: str) -> tuple[dict[str, Clock], dict[str, int], dict[str, int]]:
    """Clocks, cells used and cells available from the report that nextpnr writes as JSON."""
    report = json.loads(text)
    clocks = {name.removeprefix("$glbnet$"): Clock(round(c["achieved"], 2), round(c["constraint"], 2))
              for name, c in report["fmax"].items()}
    cells = report["utilization"]
    return (clocks, {name: c["used"] for name, c in cells.items()},
            {name: c["available"] for name, c in cells.items()})
