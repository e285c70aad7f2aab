"""`spatten-hw bench attention`: the whole accelerator in simulation against the bounds of its own size."""

from __future__ import annotations

import argparse
import sys

from spatten_hw.commands.config import config_from_args
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.sim.status import Status

from .cases import Case, Target, standard_cases
from .measure import Bench
from .options import add_case_arguments, check_case_arguments, finish_parser, new_parser, write_json
from .report import Row, render, report
from .requests import RequestFile
from .workload import GPT2, run_requests

DEFAULT_PRESET = "full"
#: What is wanted of the file `GPT2` on the full preset.
REQUEST_TARGET = Target("per item", 55)

EPILOG = """\
Every case runs on the generated Verilog with memories of fixed latency and full bandwidth, its results compared bit for
bit with the golden model (exit 1 if they differ). The bound is the most that any unit needs: Q×K ceil(n/R) cycles per
query of n keys, Prob×V ceil(k/R) for k kept values, top-k ceil(n/P) (quick-select twice that), bytes read at the
memory's peak. The roof that targets speak of is the same without top-k. Busy and stall are the hardware's own counters.
"steady" cases are the difference of two runs with different numbers of heads: what a head more takes.

A workload is a CSV of requests as the SpAtten authors publish them, one query of one head per row: a context of
sentence_length_L tokens of which key_fetch_num survive (spread evenly), value_fetch_num values kept, MSBs first. Q, K
and V are made so that exactly the rows with if_requant fetch LSBs. Requests alike that follow each other become jobs of
up to max_heads heads, queued back to back; each loads its survivors. A second run, NAME-gathered, brings
requests alike together from anywhere in the file.

examples:
  spatten-hw bench attention --preset small --case generate-102
  spatten-hw bench attention --preset eighth --json build/bench/eighth.json
  spatten-hw bench attention --workload gpt2-small-wikitext2.csv --limit 500
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = new_parser(subparsers, "attention", "layers and request streams on the whole accelerator", __doc__, EPILOG)
    add_case_arguments(parser, "all of the preset, or the workload if one is given", "a case named like the file")
    finish_parser(parser, DEFAULT_PRESET, run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    check_case_arguments(args, config)
    requests = None if args.workload is None else RequestFile.read(args.workload, config, args.limit)
    cases = standard_cases(config, heads=args.heads, quick=args.quick)
    if args.list:
        for case in cases:
            print(f"{case.name:24}  {case.shape}" + (f"  (left out: {why})" if (why := case.fits(config)) else ""))
        if requests is not None:
            print(f"{requests.name:24}  {len(requests.requests)} requests")
        return 0
    wanted, with_requests = _choose(cases, args.case, requests, config)
    with Status() as status, Bench(config, status, args.latency) as bench:
        rows = [run_case(bench, case) for case in wanted]
        if requests is not None and with_requests:
            target = REQUEST_TARGET if requests.name == GPT2 and config.name == "full" else None
            rows += [run_requests(bench, requests, args.heads or config.max_heads, gather, target)[0]
                     for gather in (False, True)]
    write_json(args.json, report(config, args.latency, rows), config)
    print(render(rows))
    return 1 if any(row.mismatches for row in rows) else 0


def run_case(bench: Bench, case: Case) -> Row:
    """A case on a simulation."""
    runs = [bench.run(case.name, case.plan(bench.config, heads)) for heads in case.head_counts(bench.config)]
    if not case.steady:
        return Row.of(case.name, case.shape, runs[0], case.target)
    less, more = case.head_counts(bench.config)
    return Row.between(case.name, f"{case.shape}, {more} − {less}", runs[0], runs[1], case.target)


def _choose(cases: list[Case], names: list[str] | None, requests: RequestFile | None,
            config: SpAttenConfig) -> tuple[list[Case], bool]:
    """The cases to run, and whether the workload is one of them."""
    if names is None:
        if requests is not None:
            return [], True
        wanted = [case for case in cases if not case.fits(config)]
        if not wanted:
            raise UserError(f"no case fits '{config.name}' ({cases[0].fits(config)}): another preset, or --quick")
        for case in cases:
            if why := case.fits(config):
                print(f"{case.name} is left out: {why}", file=sys.stderr)
        return wanted, False
    known = {case.name: case for case in cases}
    for name in names:
        if requests is not None and name == requests.name:
            continue
        if name not in known:
            more = "" if requests is None else f", {requests.name}"
            raise UserError(f"unknown case '{name}'; cases of '{config.name}': {', '.join(known)}{more} (a workload "
                            "needs --workload FILE.csv)")
        if why := known[name].fits(config):
            raise UserError(f"case '{name}' does not fit: {why}")
    return [known[n] for n in names if n in known], requests is not None and requests.name in names
