"""Places a netlist once per seed and routes each placement, more than once where a clock is missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .devices import Device
from .netlist import read_sources
from .nextpnr import Clock, Nextpnr
from .parallel import side_by_side
from .paths import CriticalPath
from .router_log import Unroutable
from .sdf import late_paths
from .tools import Usage

#: nextpnr's default placer, `heap`, left `small` with a tenth to two thirds more wire than `static`, from
#: which one draw of two routed; from `heap`, routing stopped getting better at some 4,300 overused wires.
PLACER = "static"
#: Most routings of one placement: they differ by several MHz, and one takes a third of the time of the placement
#: (docs/fpga-findings.md).
ROUTINGS = 3
#: Between the seeds of two routings.
SEED_STEP = 1000


@dataclass(frozen=True)
class Placement:
    """A placed and routed netlist. `clocks`: net → clock; `used`, `available`: nextpnr's cell type → number;
    `paths`: the critical path of every clock, slowest first; `config`: Trellis text for ecppack; `routings`: MHz of the
    slowest clock in every routing of the placement (0: the router was stuck), of which this is the best. If the router
    was stuck in all of them, or not asked, `stuck` says so, and the clocks are what the placement promised; if it was
    not asked, there are the paths between signals that are slowest by the placement."""

    seed: int
    clocks: Mapping[str, Clock]
    used: Mapping[str, int]
    available: Mapping[str, int]
    paths: tuple[CriticalPath, ...]
    usage: Usage
    config: Path | None
    stuck: str = ""
    routings: tuple[float, ...] = ()

    @property
    def met(self) -> bool:
        """Whether it is routed and every clock reaches what it must."""
        return not self.stuck and all(clock.met for clock in self.clocks.values())

    @property
    def slowest(self) -> Clock:
        """The clock that misses its frequency most, or meets it most narrowly."""
        return min(self.clocks.values(), key=lambda clock: clock.reached / clock.wanted)

    @property
    def margin(self) -> float:
        """What that clock reaches of what it must."""
        return self.slowest.reached / self.slowest.wanted

    @property
    def as_json(self) -> dict[str, object]:
        return {"seed": self.seed, "clocks": {name: vars(clock) for name, clock in self.clocks.items()},
                "met": self.met, "stuck": self.stuck, "routings": list(self.routings), "used": dict(self.used),
                "available": dict(self.available), "critical_paths": [path.as_json for path in self.paths],
                **self.usage.as_json}


def place_seeds(netlist: Path, device: Device, seeds: Sequence[int], mhz: float, folder: Path, lpf: Path | None = None,
                tell: Callable[[str], None] = lambda text: None, routings: int = ROUTINGS, jobs: int = 1
                ) -> list[Placement]:
    """A placement per seed, in their order, up to `jobs` at a time; for the rest see `place`."""
    def one(numbered: tuple[int, int]) -> Placement:
        number, seed = numbered
        about = f"place{' and route' if routings else ''} {number}/{len(seeds)}, seed {seed}"
        return place(netlist, device, seed, mhz, folder, lpf, tell, about, routings)

    return side_by_side(one, enumerate(seeds, 1), jobs)


def place(netlist: Path, device: Device, seed: int, mhz: float, folder: Path, lpf: Path | None = None,
          tell: Callable[[str], None] = lambda text: None, about: str = "place and route",
          routings: int = ROUTINGS) -> Placement:
    """Places and routes `netlist`; clocks without a constraint in `lpf` must reach `mhz`. As long as a clock misses,
    the same placement is routed again, at most `routings` times (0: not at all). `tell` is told of every step, after
    `about`. A clock that misses, or a router that is stuck, is no error (see `Placement.met`): another seed may do.
    Raises `ToolError` if the netlist does not fit."""
    tool = Nextpnr(device, folder, lpf, lambda step: tell(f"{about}: {step}"), read_sources(netlist))
    name = f"seed{seed}"
    for earlier in folder.glob(f"{name}-routed*.config"):
        earlier.unlink()
    kept, delays = folder / f"{name}.placed.json", folder / f"{name}.sdf"
    try:
        run = tool.run(netlist, f"{name}-placed", seed, mhz, "--placer", PLACER, "--no-route",
                       *(("--write", kept.name) if routings else ("--sdf", delays.name)))
        placed = Placement(seed, run.clocks, run.used, run.available, run.paths, run.usage, None, "placed only")
        if routings:
            return _routed(tool, placed, kept, name, routings)
        with delays.open() as text:
            return replace(placed, paths=late_paths(text))
    finally:    # 100 MB each, of `small`
        kept.unlink(missing_ok=True)
        delays.unlink(missing_ok=True)


def _routed(tool: Nextpnr, placed: Placement, netlist: Path, name: str, most: int) -> Placement:
    """The best of at most `most` routings of `placed`, which `netlist` is."""
    # Of the clock behind a PLL, `netlist` no longer knows.
    mhz = max(clock.wanted for clock in placed.clocks.values())
    best, routings, usage = placed, [], placed.usage
    for number in range(most):
        config = tool.folder / f"{name}-routed{number + 1}.config"
        try:
            run = tool.run(netlist, config.stem, placed.seed + SEED_STEP * number, mhz, "--no-pack", "--no-place",
                           "--textcfg", config.name)
        except Unroutable as error:
            usage += error.usage
            routings.append(0.0)
            best = replace(best, stuck=str(error), paths=()) if best.stuck else best
            continue
        usage += run.usage
        result = replace(placed, clocks=run.clocks, paths=run.paths, config=config, stuck="")
        routings.append(result.slowest.reached)
        if best.stuck or result.margin > best.margin:
            best = result
        if best.met:
            break
    return replace(best, usage=usage, routings=tuple(routings))
