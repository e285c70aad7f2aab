"""`spatten-hw bench memory`: the accelerator against memory that has rows, banks and refreshes."""

from __future__ import annotations

import argparse
import sys

from spatten_hw.commands.config import config_from_args
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.dram.timing import DDR3_1600, DDR4_2400, HBM2, HBM2_64B, DramTiming
from spatten_hw.sim.status import Status

from .cascade import run_cascade, steps_of
from .cases import Case, Target
from .memory_cases import REFETCHES, memory_cases, run_case
from .memory_report import render, report
from .options import add_case_arguments, check_case_arguments, check_known, finish_parser, new_parser, write_json
from .requests import RequestFile
from .session import Outcome, Session
from .workload import GPT2, run_requests

DEFAULT_PRESET = "full"
#: By the name on the command line; "perfect": fixed latency, full bandwidth.
MEMORIES: dict[str, DramTiming | None] = {"hbm2": HBM2, "hbm2-64b": HBM2_64B, "ddr4": DDR4_2400, "ddr3": DDR3_1600,
                                          "perfect": None}
#: Presets and memory that targets speak of.
TARGET_PRESETS, TARGET_MEMORY = ("full", "eighth"), "hbm2"
#: What is wanted of the file `GPT2` on the full preset with it: as independent requests in the file's order, gathered,
#: and as a cascade.
ORDER_TARGET, REQUEST_TARGET, CASCADE_TARGET = (Target("per item", n) for n in (58, 50, 65))

EPILOG = """\
Every channel of the accelerator has a channel of the memory behind it. Results are compared bit for bit with the golden
model (exit 1 if they differ).
  dense12       generation, 12 bit, all values: bytes per cycle while fetching
  grouped8, 12  9 query heads on 3 K/V heads, nothing pruned: bytes against dense attention
  pruned8       8 bit, 30 % of the tokens alive, at random, 20 % of their values: against what the memory alone takes
                for the same reads with a queue without limit
  summarise384  a prompt: cycles against perfect memory
  refetch-P     generation with LSBs, P % of the rows flat: what each of them costs
"steady": the difference of two runs with different numbers of heads.

A workload adds its requests in two orders, as in bench attention, and NAME-cascade: every layer of every iteration as
one job that prunes the tokens of the layer before, by the importance that the hardware has accumulated. --limit keeps
the iterations that lie in the first N requests.

examples:
  spatten-hw bench memory --preset small --case dense12
  spatten-hw bench memory --memory ddr4 --json build/bench/ddr4.json
  spatten-hw bench memory --workload gpt2-small-wikitext2.csv --case gpt2-small-wikitext2-cascade
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = new_parser(subparsers, "memory", "layers on memories with rows, banks and refreshes", __doc__, EPILOG)
    parser.add_argument("--memory", choices=tuple(MEMORIES), default="hbm2", help="behind every channel (default hbm2)")
    parser.add_argument("--clock", type=_period, default=1.0, metavar="NS",
                        help="period of the accelerator's clock in ns (default 1)")
    add_case_arguments(parser, "all of the preset, or the workload if one is given",
                       "cases named like the file, with -gathered and -cascade")
    finish_parser(parser, DEFAULT_PRESET, run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    check_case_arguments(args, config)
    # One more request than asked for: it tells whether an iteration ends at the limit.
    file = None if args.workload is None else RequestFile.read(args.workload, config,
                                                               args.limit and args.limit + 1)
    cases = memory_cases(config, heads=args.heads, quick=args.quick)
    names = _names(cases)
    of_file = [] if file is None else [file.name, f"{file.name}-gathered", f"{file.name}-cascade"]
    if args.list:
        for name, case in names.items():
            print(f"{name:24}" + (f"  (left out: {why})" if (why := case.fits(config)) else ""))
        print("".join(f"{name}\n" for name in of_file), end="")
        return 0
    wanted = _choose(names, of_file, args.case, config)
    if file is not None and of_file[2] in wanted:
        steps_of(file, args.limit)
    memory = MEMORIES[args.memory]
    if memory is not None:
        memory = memory.replace(host_clock_ns=args.clock)
    targets = (not args.quick and config.name in TARGET_PRESETS and PRESETS[config.name] == config
               and args.memory == TARGET_MEMORY and args.clock == 1)
    with Status() as status, Session(config, status, args.latency, memory, targets) as session:
        outcomes = []
        for case in cases:
            mine = [name for name in wanted if names.get(name) is case]
            if mine:
                outcomes += run_case(session, case, [p for p in REFETCHES if f"{case.name}-{p}" in mine])
        if file is not None:
            outcomes += [_of_file(session, file, name, args) for name in of_file if name in wanted]
    write_json(args.json, report(config, args.latency, memory, outcomes), config)
    print(render(outcomes))
    return 1 if any(o.row.mismatches for o in outcomes) else 0


def _period(text: str) -> float:
    """A clock period in ns."""
    value = float(text)
    if not 0.01 <= value <= 1000:
        raise argparse.ArgumentTypeError("must be 0.01 … 1000 ns")
    return value


def _names(cases: list[Case]) -> dict[str, Case]:
    """The cases by the names on the command line."""
    return {name: case for case in cases
            for name in ([f"{case.name}-{p}" for p in REFETCHES] if case.name == "refetch" else [case.name])}


def _choose(names: dict[str, Case], of_file: list[str], asked: list[str] | None, config: SpAttenConfig) -> list[str]:
    """The names to run."""
    if asked is not None:
        check_known("case", asked, [*names, *of_file] if of_file else [*names, "(NAME… with --workload NAME.csv)"])
        for name in asked:
            if name in names and (why := names[name].fits(config)):
                raise UserError(f"case '{name}' does not fit: {why}")
        return asked
    if of_file:
        return of_file
    for name, case in names.items():
        if why := case.fits(config):
            print(f"{name} is left out: {why}", file=sys.stderr)
    wanted = [name for name, case in names.items() if not case.fits(config)]
    if not wanted:
        raise UserError(f"no case fits '{config.name}': another preset, or --quick")
    return wanted


def _of_file(s: Session, file: RequestFile, name: str, args: argparse.Namespace) -> Outcome:
    """One of the cases of a workload."""
    targets = s.targets and file.name == GPT2 and s.config.name == "full"
    if name == f"{file.name}-cascade":
        row, m, jobs = run_cascade(s.bench, file, args.limit, CASCADE_TARGET if targets else None)
    else:
        gather = name == f"{file.name}-gathered"
        row, m, jobs = run_requests(s.bench, file.first(args.limit), args.heads or s.config.max_heads, gather,
                                    (REQUEST_TARGET if gather else ORDER_TARGET) if targets else None)
    return s.outcome(row, jobs, m, [])
