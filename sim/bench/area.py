"""`spatten-hw bench area`: LUTs, flip-flops, DSPs, block RAMs, gates and MHz of every unit and of the whole."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from spatten_hw.boards.command import add_place_arguments
from spatten_hw.commands.arguments import count
from spatten_hw.commands.config import DEFAULT_PRESET, config_from_args
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.kept import build_dir
from spatten_hw.sim.status import Status
from spatten_hw.units import BY_NAME

from .digest import verilog_digest
from .options import check_json, check_known, finish_parser, new_parser, write_json

TARGETS = ("ecp5", "xc7", "xcup")
#: MHz that units are to reach on an ECP5 of speed grade 6: a placement that does is routed once. nextpnr weighs paths
#: against the slowest, so that no result depends on it otherwise: placements of one seed are the same at 40 and at 100.
AIM = 80.0

EPILOG = """\
Each unit is synthesised by itself (Yosys), its netlist kept under a digest of its Verilog: a rerun does what changed.
"whole" is the sum of the units and of "glue", what joins them; blocks that occur often in a unit (the 16 slices of
full) are synthesised once and counted as often as they occur. LUTs: of 4 inputs on ecp5 (adders and LUT RAM included,
as nextpnr counts them), of 6 on xc7 and xcup; block RAMs of 18 kbit on ecp5, of 36 kbit on the others.
--mhz places and routes behind fake pins (everything registered and shifted through five pins) on an LFE5U-85F of speed
grade 6, once per seed; a placement that misses 80 MHz is routed --routings times. --placed leaves the routing out: the
MHz are the placer's, and besides the critical path the slowest paths between other signals are named, in half the time.
--jobs: each of them takes up to 1 GB of memory for `small`, up to 5 GB for `full`.
--liberty: standard cells; one gate is the file's smallest two-input NAND; memories of more than 16 words are SRAM bits,
not gates; shares, of units and of groups of them, are beside those of the paper's Figure 13.

examples:
  spatten-hw bench area                                              LUTs of small on ECP5, half a minute per unit
  spatten-hw bench area --every-preset --target ecp5 --target xc7 --json build/area.json
  spatten-hw bench area --unit writer --mhz writer --seeds 1         one unit, one seed
  spatten-hw bench area --unit whole --mhz whole --placed --seeds 1  where the time goes, before routing
  spatten-hw bench area --mhz whole --history area.json --plot area.svg
  spatten-hw bench area --preset eighth --target none --liberty /usr/share/qflow/tech/osu018/osu018_stdcells.lib
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the bench."""
    parser = new_parser(subparsers, "area", "LUTs, gates and MHz per unit", __doc__, EPILOG)
    parser.add_argument("--every-preset", action="store_true", help="all presets, one after the other")
    parser.add_argument("--unit", action="append", metavar="NAME", help="only this unit; repeatable (also whole, glue)")
    parser.add_argument("--target", action="append", metavar="NAME",
                        help=f"{', '.join(TARGETS)} or none; repeatable (default ecp5)")
    parser.add_argument("--mhz", action="append", default=[], metavar="UNIT",
                        help="place and route this unit, whole, or each (of --unit); repeatable")
    add_place_arguments(parser)
    parser.add_argument("--placed", action="store_true", help="with --mhz: place, do not route")
    parser.add_argument("--routings", type=count, default=3, metavar="N",
                        help="with --mhz: most routings of a placement that misses (default 3)")
    parser.add_argument("--liberty", type=Path, metavar="FILE.lib", help="measure standard cells of this file too")
    parser.add_argument("--history", type=Path, metavar="FILE.json", help="append the figures under this commit")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw the history over its commits")
    finish_parser(parser, DEFAULT_PRESET, run)


def run(args: argparse.Namespace) -> int:
    """Measures, prints, writes."""
    configs = list(PRESETS.values()) if args.every_preset else [config_from_args(args)]
    targets = [t for t in args.target or ["ecp5"] if t != "none"]
    check_known("target", targets, TARGETS)
    for path in (args.json, args.history, args.plot):
        check_json(path)
    if args.placed and not args.mhz:
        raise UserError("--placed: says how --mhz measures; give --mhz UNIT")
    if args.placed and args.history:
        raise UserError("--placed: its MHz are not those of routed designs, which a history holds; leave --history out")
    if args.plot and not args.history:
        raise UserError("--plot: draws a history; give --history FILE.json")

    from spatten_hw.boards.flow.area import GLUE, WHOLE
    from spatten_hw.boards.flow.standard_cells import Liberty
    from spatten_hw.boards.flow.tools import nextpnr_command, tool_names, yosys_command

    from .area_history import append, current_commit, plot, read_history
    from .area_report import directions

    check_known("unit", args.unit or [], [*BY_NAME, GLUE, WHOLE])
    check_known("--mhz unit", [u for u in args.mhz if u != "each"], [*BY_NAME, WHOLE])
    liberty = Liberty(args.liberty) if args.liberty else None
    yosys_command()
    if args.mhz:
        nextpnr_command()
    commit = current_commit() if args.history else None
    if args.history:
        read_history(args.history)
    with Status() as status:
        reports = [_measure(config, args, targets, liberty, status) for config in configs]
    if args.json:
        write_json(args.json, {
            "tools": tool_names(), "liberty": liberty and {"file": liberty.path.name, "gate_area": liberty.gate},
            "presets": [report.as_json | {"verilog_digest": verilog_digest(config)}
                        for report, config in zip(reports, configs, strict=True)]})
    print("\n\n".join(report.text() for report in reports))
    if commit is not None:
        values = {name: value for report in reports for name, value in report.series().items()}
        history = append(args.history, commit, values, directions(values))
        if args.plot:
            plot(history, args.plot)
    return 0


def _measure(config: SpAttenConfig, args: argparse.Namespace, targets: list[str], liberty, status: Status):
    from spatten_hw.boards.flow.area import GLUE, WHOLE, Measured
    from spatten_hw.boards.flow.devices import LFE5U_85F
    from spatten_hw.boards.flow.families import FAMILIES

    from .area_report import CELLS, PresetReport

    folder = build_dir()
    measured = Measured(config, folder / "synthesis", status.show, jobs=args.jobs)
    report = PresetReport(config)
    units = args.unit or [*BY_NAME, GLUE, WHOLE]
    for target in targets:
        report.areas[target] = measured.areas(units, FAMILIES[target])
    if liberty is not None:
        report.areas[CELLS] = measured.areas(units, liberty.family, liberty)
    for unit in clocked_units(args.mhz, args.unit):
        area = measured.areas([unit], FAMILIES["ecp5"])[unit].utilisation
        holds = LFE5U_85F.holds
        over = [f"{name} {getattr(area, name):g} of {getattr(holds, name):g}"
                for name in ("luts", "dsps", "brams") if getattr(area, name) > getattr(holds, name)]
        report.clocks[unit] = (f"does not fit the {LFE5U_85F.name}: {', '.join(over)}" if over else
                               measured.clock(unit, LFE5U_85F, args.seeds, AIM, folder / "place",
                                              routings=0 if args.placed else args.routings))
    return report


def clocked_units(mhz: Sequence[str], only: Sequence[str] | None) -> list[str]:
    """What `--mhz` names, each once: "each" is every unit, or every one of `--unit`."""

    each = [unit for unit in BY_NAME if not only or unit in only]
    return list(dict.fromkeys(name for chosen in mhz for name in (each if chosen == "each" else [chosen])))
