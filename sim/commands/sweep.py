"""`spatten-hw sweep`: many configurations, workloads, policies and memories measured into one table."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spatten_hw.commands.arguments import count
from spatten_hw.errors import UserError
from spatten_hw.output import check_apart, check_folder, check_targets, new_folders, write_all
from spatten_hw.sim.status import Status

if TYPE_CHECKING:
    from spatten_hw.sim.sweep.file import Sweep
    from spatten_hw.sim.sweep.point import Point
    from spatten_hw.sim.sweep.table import Row
    from spatten_hw.sim.sweep.workers import Workers

#: Seconds between two lines of progress where they are not overwritten.
QUIET = 10.0
#: What every sweep has in its folder, beside its plots.
FILES = ("points.jsonl", ".lock", "table.csv", "table.parquet", "sweep.html")

EPILOG = """\
A sweep is a TOML file. Every field is one value, a list, or a range ({from = 1, to = 16, times = 2}); points are all
combinations, or `draws` random ones. A section that is given several times ([[workload]]) has alternatives.

  measure = ["model", "rtl", "area"]   what is measured of each point (default: model)
  draws = 200, seed = 1                random points; without draws: all
  [config]    preset, and fields of the configuration
  [workload]  case = "generate-1000" (of bench attention), or tokens, dim, heads, group, generate, causal (a layer of
              random operands), or requests = "FILE.csv", limit, order
  [policy]    bits, k_bits, v_bits (8, or MSBs and LSBs "6+4"), q_bits, alive, keep, flat (shares), lsb_margin,
              keep_mass, give_back
  [memory]    name ("perfect", "hbm2", "ddr4" …), clock (ns), latency (of perfect memory)
  [area]      by = "synthesis" or "law", target, liberty
  [[pareto]]  x, y: metrics to draw against each other, such as "model_us" and "area_luts"; by: columns in which
              points that are compared are alike (default: workload and memory)

Points whose fields contradict each other are refused, with the reason in the table; the rest goes on. What is measured
is kept in DIR/points.jsonl as it comes: the same command goes on where it was stopped.

examples:
  spatten-hw sweep examples/sweep.toml --list
  spatten-hw sweep examples/sweep.toml -o build/sweep/example
  spatten-hw sweep examples/sweep-rtl.toml --workers 2
  spatten-hw sweep examples/sweep.toml --scheduler tcp://127.0.0.1:8786

Exit code 1: a simulation differs from the golden model, or a measurement failed."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "sweep", help="configurations, workloads, policies, memories: model, RTL, area in one table",
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, metavar="FILE.toml", help="what is swept, see below")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help="folder for results, made if missing (default build/sweep/NAME)")
    parser.add_argument("--list", action="store_true", help="say how many points there are and which are refused, end")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=count, metavar="N",
                       help="processes, each with one thread (default: all cores)")
    where.add_argument("--scheduler", metavar="ADDRESS",
                       help="run on the Dask cluster of this scheduler, e.g. tcp://HOST:8786")
    parser.add_argument("--no-plots", action="store_true", help="table and page only; needs no matplotlib")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write counts and Pareto fronts as JSON")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if something failed or differs."""
    from spatten_hw.sim.sweep import summary
    from spatten_hw.sim.sweep.file import read_sweep

    sweep = read_sweep(args.sweep)
    folder = args.output or Path("build/sweep") / sweep.name
    if args.json is not None:
        check_targets([args.json], args.sweep)
        check_apart("--json", args.json, folder)
    if args.list:
        with Status() as status:
            points = _points(sweep, status)
        print(summary.listed(points))
        return 0
    _check_packages(args)
    check_folder(folder, files=FILES)
    with Status() as status:
        points = _points(sweep, status)
        rows = _measured(points, folder, args, status)
        status.show("drawing")
        files = _files(sweep, rows, plots=not args.no_plots)
        write_all([(folder / name, data) for name, data in files]
                  + ([(args.json, summary.as_json(sweep, rows))] if args.json is not None else []))
    print(summary.said(sweep, rows))
    print(f"written to {folder}: {', '.join(name for name, _ in files)}")
    return 1 if any(row["status"] == "failed" for row in rows) else 0


def _points(sweep: Sweep, status: Status) -> list[Point]:
    from spatten_hw.sim.sweep.point import settle
    from spatten_hw.sim.sweep.space import points

    status.show("reading the points")
    found: list[Point] = []
    said = time.monotonic()
    for number, values in enumerate(points(str(sweep.source), sweep.space, sweep.draws, sweep.seed)):
        found.append(settle(number, values, sweep))
        if time.monotonic() - said > QUIET:
            said = time.monotonic()
            status.show(f"reading the points: {number + 1:,}")
    if not found:
        raise UserError(f"{sweep.source}: has no points")
    return found


def _check_packages(args: argparse.Namespace) -> None:
    """Refuses what lacks a package before anything is measured. `ModuleNotFoundError` is said by the command line."""
    import pyarrow  # noqa: F401

    if args.scheduler:
        import distributed  # noqa: F401

        from spatten_hw.sim.sweep.cluster import check_address
        check_address(args.scheduler)
    if not args.no_plots:
        from spatten_hw.sim.evaluate.figures import check_installed
        check_installed()


def _measured(points: list[Point], folder: Path, args: argparse.Namespace, status: Status) -> list[Row]:
    """The rows of the table, when all is measured."""
    from spatten_hw.sim.sweep.results import FILE, Results, alone
    from spatten_hw.sim.sweep.run import Progress, run, tasks_of
    from spatten_hw.sim.sweep.table import rows_of

    said = 0.0

    def tell(progress: Progress) -> None:
        nonlocal said
        if status.tty or time.monotonic() - said >= QUIET or progress.kept + progress.done == progress.total:
            said = time.monotonic()
            status.show(progress.text)

    with new_folders(folder), alone(folder):
        results = Results(folder / FILE)
        tasks = tasks_of(points)
        if any(not results.settled(key) for key in tasks):
            if not args.scheduler:
                _check_tools({task.kind for task in tasks.values()}, points)
            with _workers(args) as workers:
                run(tasks, results, workers, tell)
        return rows_of(points, results)


def _check_tools(kinds: set[str], points: list[Point]) -> None:
    """Refuses what no point could be measured without."""
    if "rtl" in kinds:
        from spatten_hw.sim.harness.verilator import check_tools
        check_tools()
    if any(task.area and task.area.by == "synthesis" for point in points for task in point.tasks.values()):
        from spatten_hw.boards.flow.tools import yosys_command
        yosys_command()


def _workers(args: argparse.Namespace) -> Workers:
    if args.scheduler:
        from spatten_hw.sim.sweep.cluster import DaskWorkers
        return DaskWorkers(args.scheduler)
    from spatten_hw.sim.sweep.workers import LocalWorkers
    return LocalWorkers(args.workers or os.cpu_count() or 1)


def _files(sweep: Sweep, rows: list[Row], plots: bool) -> list[tuple[str, bytes]]:
    from spatten_hw.sim.sweep import page, table
    from spatten_hw.sim.sweep.plots import plots as drawn

    return [("table.csv", table.as_csv(rows)),
            ("table.parquet", table.as_parquet(rows, {"sweep": sweep.name, "file": sweep.source.name})),
            ("sweep.html", page.render(f"Sweep {sweep.name}", rows).encode()),
            *(drawn(rows, sweep.pareto) if plots else [])]
