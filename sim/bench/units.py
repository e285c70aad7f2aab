"""`spatten-hw bench units`: every block of the datapath by itself, against the rate and latency it states."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np

from spatten_hw.commands.config import config_from_args
from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.build import Progress
from spatten_hw.sim.status import Status

from .blocks import Figure, render, report, verdict
from .options import add_seed_argument, at_least, check_json, check_known, finish_parser, new_parser, write_json
from .unit_output import heads, requantiser, tokens
from .unit_prob_value import prob_times_value
from .unit_score import score
from .unit_softmax import local_topk, softmax

DEFAULT_PRESET = "eighth"

Unit = Callable[[SpAttenConfig, np.random.Generator, int, Progress], list[Figure]]
#: By the name on the command line, in the order of the datapath.
UNITS: dict[str, Unit] = {
    "score": score, "softmax": softmax, "topk": local_topk, "prob-value": prob_times_value,
    "requantise": requantiser, "tokens": tokens, "heads": heads,
}

EPILOG = """\
Each block is compiled by itself at the size it has in the preset. Inputs are there whenever the block takes them,
outputs are taken at once; results are compared with the golden model (exit 1 if they differ).
cycles: from the first to the last transfer on the stream that the block's rate speaks of. stated: what the rate
promises for these vectors. bubbles: the difference. latency: of the first vector, and as the block states it.
  score       Q×K of a slice, a product of chunks per cycle: D/N cycles per score. "query after slot": a query comes
              when its slot's last scores are out
  softmax     a row of S scores per cycle in; a slot is used again as soon as it is freed
  topk        a row of S probabilities per cycle in (or the engine's own rate); quick-select takes more where it prunes
  prob-value  a product of chunks per cycle and slice: what the fullest slice takes, which short vectors that wait for
              sums do not reach; the note says what random positions cost
  requantise  a group of elements per cycle
  tokens      token importance, a row of S per cycle
  heads       head importance, a sum per cycle

examples:
  spatten-hw bench units
  spatten-hw bench units --unit softmax --set slots=64 --json build/softmax.json
  spatten-hw bench units --preset full --unit score --vectors 100
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = new_parser(subparsers, "units", "the blocks of the datapath by themselves", __doc__, EPILOG)
    parser.add_argument("--unit", action="append", metavar="NAME",
                        help=f"only this unit; repeatable (default: {', '.join(UNITS)})")
    parser.add_argument("--vectors", type=at_least(2), default=100, metavar="N", help="vectors per case (default 100)")
    add_seed_argument(parser)
    finish_parser(parser, DEFAULT_PRESET, run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    check_json(args.json)
    check_known("unit", args.unit or (), UNITS)
    with Status() as status:
        figures = measure(config, list(dict.fromkeys(args.unit or UNITS)), args.vectors, args.seed, status.show)
    write_json(args.json, report(config, args.seed, [f.as_json for f in figures]), config)
    print(render(figures))
    mismatches = [text for f in figures for text in f.mismatches]
    print(f"\n{verdict(mismatches)}")
    return 1 if mismatches else 0


def measure(config: SpAttenConfig, names: list[str], vectors: int, seed: int, progress: Progress) -> list[Figure]:
    """The figures of the units called `names`."""
    figures: list[Figure] = []
    for name in names:
        def tell(name: str, text: str) -> None:
            progress(f"{name}: {text}")

        progress(f"{name}: measuring")
        figures += UNITS[name](config, np.random.default_rng(seed), vectors, partial(tell, name))
    return figures
