"""`spatten-hw run`: the attention of a workload file on the float engine, the golden model or the hardware."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spatten_hw.commands.arguments import count
from spatten_hw.commands.config import add_config_arguments, config_from_args
from spatten_hw.errors import UserError
from spatten_hw.host.workload import read_workload
from spatten_hw.output import check_targets, write_all
from spatten_hw.sim.commands.board import add_board_arguments, board_factory, check_board_arguments
from spatten_hw.sim.engine import ENGINES, RunResult, run_workload

if TYPE_CHECKING:
    from spatten_hw.sim.timeline import Recorder

EPILOG = """\
FILE.npz holds q [layers, heads, queries, dim], k and v [layers, kv_heads, tokens, dim] (floats, quantised here, or
integers), and optionally the job as JSON text under the key "job". docs/workloads.md describes every key.

engines:
  float    float64, no quantisation, the same pruning rules
  golden   the bit-exact integer model
  rtl      the generated Verilog in simulation, compared with golden; exit 1 if they differ
           with --port: the same on a board (docs/link.md)

example:
  spatten-hw run attention.npz --preset small --engine rtl --out result.npz --json result.json
  spatten-hw run attention.npz --preset small --timeline trace.json     (docs/timeline.md)
  spatten-hw run attention.npz --preset small --html report.html        (docs/report.md)
  spatten-hw run attention.npz --preset small --port /dev/ttyUSB0
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "run", help="run attention over a workload file", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.npz", type=Path, help="the workload")
    parser.add_argument("--engine", choices=ENGINES, default="rtl", help="what computes (default rtl)")
    parser.add_argument("--job", metavar="FILE.toml", type=Path, help="job fields, instead of those in the file")
    parser.add_argument("--out", metavar="OUT.npz", type=Path, help="write outputs, survivors and scores")
    parser.add_argument("--json", metavar="OUT.json", type=Path, help="write counts, bytes, cycles, errors")
    parser.add_argument("--html", metavar="OUT.html", type=Path,
                        help="write a page that shows who was pruned, importance, bytes and cycles")
    parser.add_argument("--timeline", metavar="OUT.json", type=Path,
                        help="write what each unit did when, for ui.perfetto.dev, and print a summary (rtl)")
    parser.add_argument("--cycle-limit", metavar="N", type=count,
                        help="give up when a layer has not finished after N cycles (rtl; default: by its size)")
    add_board_arguments(parser)
    add_config_arguments(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    targets = [path for path in (args.out, args.json, args.html, args.timeline) if path is not None]
    if args.timeline is not None and args.engine != "rtl":
        raise UserError(f"--timeline: engine {args.engine} has no cycles; use --engine rtl")
    check_targets(targets, args.file)
    workload = read_workload(args.file, args.job)
    recorder = _recorder() if args.timeline is not None else None
    check_board_arguments(args)
    with _progress_line() as progress:
        board = board_factory(args, progress)
        result = run_workload(workload, config, args.engine, board or recorder, progress=progress,
                              cycle_limit=args.cycle_limit)
    if board is not None:
        result.engine = "board"
    contents = []
    if args.out is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **result.outputs.arrays)  # type: ignore[arg-type]
        contents.append((args.out, buffer.getvalue()))
    if args.json is not None:
        contents.append((args.json, (json.dumps(result.report, indent=2) + "\n").encode()))
    if args.html is not None:
        from spatten_hw.sim.report.html import render
        from spatten_hw.sim.report.of_run import run_record
        contents.append((args.html, render(run_record(result, workload)).encode()))
    text = ""
    if recorder is not None:
        from spatten_hw.sim.timeline import summary, trace_text
        timeline = recorder.timeline([(s.step, s.layer) for s in result.outputs.layers])
        contents.append((args.timeline, trace_text(timeline).encode()))
        text = f"\n{summary(timeline)}"
    write_all(contents)
    print(table(result))
    for line in result.mismatches[:10]:
        print(f"DIFFERS {line}")
    if text:
        print(text)
    return 1 if result.bit_exact is False else 0


def _recorder() -> Recorder:
    # Only here: the simulation is slow to import, and most calls do not need it.
    from spatten_hw.sim.timeline import Recorder
    return Recorder()


@contextlib.contextmanager
def _progress_line():
    """A progress callback that keeps one line of a terminal up to date, and is silent elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda done, total, text: print(f"\r\033[K{done}/{total} {text}", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def table(result: RunResult) -> str:
    """The result for a terminal."""
    o = result.outputs
    lines = [f"{'step':>5} {'layer':>5} {'tokens':>7} {'heads':>6} {'queries':>8} {'refetched':>9} {'kB':>9} "
             f"{'cycles':>10}"]
    shown = o.layers if len(o.layers) <= 24 else o.layers[:12] + o.layers[-12:]
    for i, s in enumerate(shown):
        if len(shown) < len(o.layers) and i == 12:
            lines.append(f"  ... {len(o.layers) - len(shown)} more")
        size = "-" if s.bytes is None else f"{sum(s.bytes.values()) / 1000:.1f}"
        cycles = "-" if s.cycles is None else str(s.cycles)
        lines.append(f"{s.step:>5} {s.layer:>5} {s.tokens:>7} {s.heads:>6} {s.queries:>8} {s.refetched:>9} "
                     f"{size:>9} {cycles:>10}")
    lines.append(f"engine {result.engine}, preset {result.config.name} ({result.config.hash:08x}), "
                 f"{result.seconds:.1f} s")
    if result.bytes is not None:
        total = sum(result.bytes.values())
        split = ", ".join(f"{k} {v}" for k, v in result.bytes.items() if v)
        lines.append(f"bytes {total} ({split})")
        lines.append("; ".join(f"{total / dense:.1%} of dense {bits}-bit attention, {dense} bytes" for bits, dense in (
            (12, result.dense_bytes), (16, result.dense_bytes_16))))
    lines.append(f"against float64: cosine {result.cosine:.6f}, largest error {result.max_abs_error:.3g}")
    if result.cycles is not None:
        lines.append(f"cycles {result.cycles}; "
                     + ("equal to the golden model bit for bit" if result.bit_exact
                        else f"NOT equal to the golden model: {len(result.mismatches)} differences"))
    return "\n".join(lines)
