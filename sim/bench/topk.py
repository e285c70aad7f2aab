"""`spatten-hw bench topk`: the two top-k engines, cycles per vector against what they state and what rows allow."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

import numpy as np

from spatten_hw.commands.config import config_from_args
from spatten_hw.config import PROB_BITS, TOPK_ENGINES
from spatten_hw.errors import UserError
from spatten_hw.sim.status import Status

from .blocks import report, verdict
from .options import add_seed_argument, at_least, check_json, check_known, finish_parser, new_parser, write_json
from .table import table
from .topk_engine import WARM_UP, Engine, Row

DEFAULT_PRESET = "full"
#: P of the paper.
LANES = 16
#: (n, k): the largest vector; GPT-2-Small as pruned by the authors (`gpt2-small-wikitext2.csv`); short ones.
CASES = ((1024, 512), (1000, 200), (307, 92), (204, 41), (102, 20), (43, 9))
#: Most cycles per random vector that are wanted, by engine and case; P = 16.
TARGETS = {("quickselect", 1024, 512): 200, ("linerate", 1024, 512): 68}

EPILOG = """\
Vectors enter back to back and leave unhindered; what is kept is compared with the golden model (exit 1 if it differs).
cycles: from one vector's last row out to the next one's, on average after the first three, and at most. latency: from
a vector's first row in to its last row out, alone in the engine. stated: the most cycles per vector of one length (and
the latency) that the engine promises for any data. waits: cycles in which a row was not accepted. bound: ceil(n/P), the
rows of a vector. met: no vector takes longer than stated (one may leave a cycle late), the target is reached, line
rate never lets a row wait.
data: "hard" are sorted, constant, two-valued and steeply falling keys, each with k = 1, the case's k and n − 1.

examples:
  spatten-hw bench topk
  spatten-hw bench topk --preset small --engine linerate --json build/topk.json
"""


def hard_keys(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Keys that a search by pivots, or one by digits, may find hard."""
    top = (1 << PROB_BITS) - 1
    draw = rng.integers(0, top + 1, n)
    # 2^b: every middle of the range throws away half of the range and next to none of the keys.
    steep = 1 << (np.arange(n) % PROB_BITS)
    alone = np.zeros(n, dtype=np.int64)
    alone[-1] = top
    return [np.sort(draw), np.sort(draw)[::-1], np.full(n, top), np.full(n, 0), np.full(n, int(rng.integers(top))),
            rng.choice([1, top], n), steep, np.sort(steep), np.sort(steep)[::-1], alone,
            np.minimum(top, rng.exponential(top / 50, n)).astype(np.int64)]


def measure(engine: Engine, rng: np.random.Generator, count: int, max_n: int) -> list[Row]:
    """All cases on an engine."""
    def random(n: int, k: int) -> tuple[np.ndarray, int]:
        return rng.integers(0, 1 << PROB_BITS, n), k

    rows = []
    cases = [(n, k) for n, k in CASES if n <= max_n]
    for n, k in cases:
        target = TARGETS.get((engine.name, n, k)) if engine.lanes == LANES else None
        rows.append(engine.measure(f"n={n} k={k}", "random", [random(n, k) for _ in range(count)], target, alone=n))
        hard = [(keys, kept) for _ in range(2) for keys in hard_keys(rng, n) for kept in (1, k, n - 1)]
        rows.append(engine.measure(f"n={n} k={k}", "hard", hard))
    mixed = [random(*cases[at]) for at in rng.integers(0, len(cases), 2 * count)]
    rows.append(engine.measure("all of these", "random mix", mixed))
    any_length = [(int(n), int(rng.integers(1, n + 1))) for n in rng.integers(1, max_n + 1, 2 * count)]
    rows.append(engine.measure(f"n=1…{max_n}, any k", "random mix", [random(n, k) for n, k in any_length]))
    return rows


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = new_parser(subparsers, "topk", "the top-k engines by themselves", __doc__, EPILOG)
    parser.add_argument("--engine", action="append", metavar="NAME",
                        help=f"only this engine; repeatable (default: {', '.join(TOPK_ENGINES)})")
    parser.add_argument("--lanes", action="append", type=at_least(1), metavar="P",
                        help=f"elements per row; repeatable (default {LANES} and the preset's)")
    parser.add_argument("--vectors", type=at_least(WARM_UP + 2), default=200, metavar="N",
                        help="random vectors per case (default 200)")
    add_seed_argument(parser)
    finish_parser(parser, DEFAULT_PRESET, run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    check_json(args.json)
    check_known("top-k engine", args.engine or (), TOPK_ENGINES)
    if config.max_tokens < CASES[-1][0]:
        raise UserError(f"preset '{config.name}' has max_tokens = {config.max_tokens}: the shortest case has "
                        f"{CASES[-1][0]} keys; choose another preset")
    rows: list[Row] = []
    with Status() as status:
        for name in args.engine or TOPK_ENGINES:
            for lanes in args.lanes or sorted({LANES, config.topk_lanes}, reverse=True):
                label = f"{name}, P={lanes}"
                engine = Engine(name, config, lanes, config.max_tokens, partial(_show, status, label))
                status.show(f"{label}: measuring")
                rows += measure(engine, np.random.default_rng(args.seed), args.vectors, config.max_tokens)
    write_json(args.json, report(config, args.seed, [row.as_json for row in rows]), config)
    print(render(rows))
    mismatches = [text for row in rows for text in row.mismatches]
    print(f"\n{verdict(mismatches)}")
    return 1 if mismatches else 0


def _show(status: Status, label: str, text: str) -> None:
    status.show(f"{label}: {text}")


def render(rows: Sequence[Row]) -> str:
    """The rows for a terminal."""
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.0f}"

    cells = [["engine", "P", "case", "data", "vectors", "cycles", "worst", "stated", "waits", "latency", "stated",
              "bound", "ratio", "target", "met"]]
    for r in rows:
        cells.append([r.engine, str(r.lanes), r.case, r.data, str(r.vectors), f"{r.cycles:.1f}", str(r.worst),
                      number(r.stated), str(r.waits), number(r.latency), number(r.stated_latency), f"{r.bound:.1f}",
                      f"{r.cycles / r.bound:.2f}", "-" if r.target is None else f"≤ {r.target:g}",
                      "yes" if r.met else "NO"])
    return table(cells, left=4)
