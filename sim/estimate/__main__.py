"""`python -m spatten_hw.sim.estimate calibrate | check`: measures drawn jobs in simulation; errors of the model."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.output import check_targets
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest
from spatten_hw.sim.bench.options import check_json, write_json
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.sim.status import Status

from .draw import draw_plan, preset_of
from .errors import HELD_OUT, of_jobs, of_queues, report
from .measure import LATENCY, measure
from .table import PATH, SEEDS, Table


def calibrate(path: Path, seconds: float) -> None:
    """Measures what is missing in the table, preset by preset; goes on where it was stopped. `seconds`: most time."""
    end = time.monotonic() + seconds
    digests = {name: verilog_digest(c) for name, c in PRESETS.items()}
    table = Table.read(path)
    kept = {s: p for s, p in table.plans.items()
            if s in SEEDS and table.digests.get(preset_of(s)) == digests[preset_of(s)]}
    table = Table(digests, kept)
    with Status() as status:
        for name, c in PRESETS.items():
            missing = [s for s in SEEDS if preset_of(s) == name and s not in kept]
            if not missing or time.monotonic() > end:
                continue
            with VerilatedTransport(c, latency=LATENCY, progress=status.show) as transport:
                for done, seed in enumerate(missing):
                    if time.monotonic() > end:
                        break
                    status.show(f"{name}, {done} of {len(missing)} workloads: seed {seed}")
                    kept[seed] = measure(draw_plan(seed), transport)
                    table.write(path)
        left = len(SEEDS) - len(kept)
        status.show(f"{path}: {len(kept)} workloads" + (f", {left} to do: run it again" if left else ", complete"))


def check(path: Path, out: Path | None) -> None:
    """Prints the errors as a Markdown table, and writes each as JSON."""
    check_json(out)
    table = Table.read(path)
    print(report(table))
    held = {e.name: e.of.tolist() for e in [*of_jobs(table, HELD_OUT)[:-1], of_queues(table, HELD_OUT)]}
    write_json(out, {"verilog_digests": table.digests, "errors": held})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.estimate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("calibrate", help="measure what the table lacks")
    one.add_argument("--seconds", type=float, default=float("inf"), metavar="S", help="stop after so long")
    two = commands.add_parser("check", help="errors of the model over the table")
    two.add_argument("--json", type=Path, metavar="OUT.json", help="write all errors as JSON")
    for command in (one, two):
        command.add_argument("--table", type=Path, default=PATH, metavar="FILE.json", help="default: the repository's")
    args = parser.parse_args(arguments)
    try:
        if args.command == "calibrate":
            check_targets([args.table])
            calibrate(args.table, args.seconds)
        else:
            check(args.table, args.json)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
