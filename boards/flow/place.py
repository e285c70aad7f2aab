"""nextpnr-ecp5: places and routes a netlist, reports the clocks reached, what is used, and the critical path."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.errors import UserError

from .devices import Device
from .paths import CriticalPath, read_paths
from .router_log import RouterLog, Unroutable
from .sdf import late_paths
from .tools import Usage, nextpnr_command, run_tool

#: nextpnr's default placer, `heap`, left `small` with a tenth to two thirds more wire than `static`, from
#: which one draw of two routed; from `heap`, routing stopped getting better at some 4,300 overused wires.
PLACER = "static"
#: nextpnr's other router (router1, the default) was still ripping up two thirds of `small` after eight minutes.
ROUTER = "router2"


@dataclass(frozen=True)
class Clock:
    """MHz that a clock reaches, and MHz it must have."""

    reached: float
    wanted: float

    @property
    def met(self) -> bool:
        return self.reached >= self.wanted


@dataclass(frozen=True)
class Placement:
    """A placed and routed netlist. `clocks`: net → clock; `used`, `available`: nextpnr's cell type → number;
    `paths`: the critical path of every clock, slowest first; `config`: Trellis text for ecppack. If the router was
    stuck, or not asked, `stuck` says so, and the clocks are what the placement promised; of the one that was stuck the
    rest is empty, of the other there are the paths between signals that are slowest by that placement."""

    seed: int
    clocks: Mapping[str, Clock]
    used: Mapping[str, int]
    available: Mapping[str, int]
    paths: tuple[CriticalPath, ...]
    usage: Usage
    config: Path | None
    stuck: str = ""

    @property
    def met(self) -> bool:
        """Whether it is routed and every clock reaches what it must."""
        return not self.stuck and all(clock.met for clock in self.clocks.values())

    @property
    def slowest(self) -> Clock:
        """The clock that misses its frequency most, or meets it most narrowly."""
        return min(self.clocks.values(), key=lambda clock: clock.reached / clock.wanted)

    @property
    def as_json(self) -> dict[str, object]:
        return {"seed": self.seed, "clocks": {name: vars(clock) for name, clock in self.clocks.items()},
                "met": self.met, "stuck": self.stuck, "used": dict(self.used), "available": dict(self.available),
                "critical_paths": [path.as_json for path in self.paths], **self.usage.as_json}


def place(netlist: Path, device: Device, seed: int, mhz: float, folder: Path, lpf: Path | None = None,
          tell: Callable[[str], None] = lambda text: None, about: str = "place and route",
          route: bool = True) -> Placement:
    """Places and (`route`) routes `netlist`; clocks without a constraint in `lpf` must reach `mhz`. `tell` is told of
    every step, after `about`. A clock that misses, or a router that is stuck, is no error (see `Placement.met`):
    another seed may do. Raises `ToolError` if the netlist does not fit."""
    if device.place is None:
        raise UserError(f"{device.name}: no open tool of pip places and routes this device")
    name = f"seed{seed}"
    command = [*nextpnr_command(), *device.place, "--json", str(netlist.resolve().relative_to(folder.resolve())),
               "--seed", str(seed), "--freq", str(mhz), "--timing-allow-fail", "--report", f"{name}.json",
               "--quiet", "--log", f"nextpnr-{name}.log", "--placer", PLACER, "--router", ROUTER]
    command += ["--textcfg", f"{name}.config"] if route else ["--no-route", "--sdf", f"{name}.sdf"]
    command += ["--lpf", str(lpf.resolve().relative_to(folder.resolve()))] if lpf else ["--lpf-allow-unconstrained"]
    for left in ("json", "config", "sdf"):
        (folder / f"{name}.{left}").unlink(missing_ok=True)
    log = RouterLog(folder / f"nextpnr-{name}.log", lambda step: tell(f"{about}: {step}"))
    try:
        usage = run_tool(command, folder, f"nextpnr-{name}.out", log)
    except Unroutable as error:
        clocks = {net: Clock(*reached_and_wanted) for net, reached_and_wanted in error.placed.items()}
        return Placement(seed, clocks, {}, {}, (), error.usage, None, str(error))
    clocks, used, available = read_report((folder / f"{name}.json").read_text())
    if not route:
        log()
        clocks = {net: Clock(*reached_and_wanted) for net, reached_and_wanted in log.placed.items()}
    if not clocks:
        raise UserError(f"{netlist}: nothing is clocked; there is no frequency to report")
    if not route:
        with (folder / f"{name}.sdf").open() as delays:
            paths = late_paths(delays)
        (folder / f"{name}.sdf").unlink()    # 100 MB of `small`
        return Placement(seed, clocks, used, available, paths, usage, None, "placed only")
    return Placement(seed, clocks, used, available, read_paths((folder / f"{name}.json").read_text()), usage,
                     folder / f"{name}.config")


def read_report(text: str) -> tuple[dict[str, Clock], dict[str, int], dict[str, int]]:
    """Clocks, cells used and cells available from the report that nextpnr writes as JSON."""
    report = json.loads(text)
    clocks = {name.removeprefix("$glbnet$"): Clock(round(c["achieved"], 2), round(c["constraint"], 2))
              for name, c in report["fmax"].items()}
    cells = report["utilization"]
    return (clocks, {name: c["used"] for name, c in cells.items()},
            {name: c["available"] for name, c in cells.items()})
