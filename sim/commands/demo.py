"""`spatten-hw demo`: a real sentence encoder whose attention is computed by the generated hardware."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spatten_hw.commands.arguments import count, ratio
from spatten_hw.commands.config import add_config_arguments, config_from_args
from spatten_hw.errors import UserError
from spatten_hw.output import check_targets, write_all
from spatten_hw.sim.status import Status

if TYPE_CHECKING:
    from spatten_hw.config import SpAttenConfig
    from spatten_hw.sim.models.engines import Outcome
    from spatten_hw.sim.models.pruned import Engine, LayerTask

#: Two sentences that say the same, one that does not.
SENTENCES = (
    "A man is playing a guitar on the stage in front of a small crowd.",
    "A musician with a guitar is performing for a few people.",
    "The stock market fell sharply on Monday after bad news from the banks.",
)
#: Longest text, in word pieces with [CLS] and [SEP].
MAX_TOKENS = 256

EPILOG = """\
The embeddings, projections, FFN and layer norms of all-MiniLM-L6-v2 run in numpy; the attention of all 6 layers runs
on the accelerator in 8 bits, with cascade token pruning, cascade head pruning and local value pruning. A pruned token
also drops out of the FFN and of the sentence vector. Every layer is compared bit for bit with the golden model; the
exit code is 1 if any bit differs.

examples:
  spatten-hw demo
  spatten-hw demo --text "The cat sat on the mat." --text "A cat is sitting on a rug."
  spatten-hw demo --engine golden --keep-tokens 0.4 --keep-heads 8 --html report.html     (docs/report.md)
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "demo", help="a sentence encoder with its attention in the generated hardware", description=__doc__,
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="append", metavar="SENTENCE",
                        help=f"a sentence, 1 word to {MAX_TOKENS} tokens; repeatable (default: three sentences)")
    parser.add_argument("--engine", choices=("rtl", "golden"), default="rtl",
                        help="simulate the generated Verilog (default), or only the bit-exact model")
    parser.add_argument("--keep-tokens", type=ratio, default=0.6, metavar="RATIO",
                        help="part of the tokens alive in the last layer (default 0.6)")
    parser.add_argument("--keep-heads", type=count, default=11, metavar="N",
                        help="heads alive in the last layer (default 11 of 12)")
    parser.add_argument("--keep-values", type=ratio, default=0.6, metavar="RATIO",
                        help="part of the values used per query (default 0.6)")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write everything printed, as JSON")
    parser.add_argument("--html", type=Path, metavar="OUT.html",
                        help="write a page that shows who was pruned, importance, bytes and cycles")
    add_config_arguments(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    texts = [" ".join(t.split()) for t in (SENTENCES if args.text is None else args.text)]
    check_targets([path for path in (args.json, args.html) if path is not None])
    # Slow to import, and not needed for --help.
    from spatten_hw.sim.commands import demo_report
    from spatten_hw.sim.models.minilm import MiniLM
    from spatten_hw.sim.models.pruned import PrunedEncoder, demo_schedule, dense_bytes
    from spatten_hw.sim.report.of_demo import Watch

    with Status() as status:
        model = MiniLM()
        sentences = [model.tokenize(t) for t in texts]
        for text, tokens in zip(texts, sentences, strict=True):
            check_text(text, len(tokens))
        schedule = demo_schedule(model.layers, model.heads, args.keep_tokens, args.keep_heads, args.keep_values)
        encoder = PrunedEncoder(model, config, schedule)
        encoder.check(max(len(t) for t in sentences))
        with make_engine(args.engine, config, status) as engine:
            start = time.monotonic()
            results, watches = [], []
            for i, tokens in enumerate(sentences):
                name = f"sentence {i + 1}/{len(sentences)} ({len(tokens)} tokens)"
                watches.append(Watch(engine, dense_bytes(model, len(tokens)) // model.layers, model.out_unit))
                results.append(encoder.encode(tokens, telling(status, name, watches[-1])))
            seconds = time.monotonic() - start
        report = demo_report.Report(config, args.engine, model, texts, sentences, results, engine, seconds)
    print(demo_report.render(report, sys.stdout.isatty()))
    contents = []
    if args.json is not None:
        contents.append((args.json, (json.dumps(demo_report.as_json(report), indent=2) + "\n").encode()))
    if args.html is not None:
        from spatten_hw.sim.report.html import render
        contents.append((args.html, render(demo_report.record(report, watches)).encode()))
    write_all(contents)
    return 1 if report.mismatches else 0


def check_text(text: str, tokens: int) -> None:
    """Refuses a text the demo cannot show anything with."""
    if tokens <= 2:
        raise UserError("a text is empty: give at least one word")
    if tokens > MAX_TOKENS:
        raise UserError(f"the text '{text[:24]}…' has {tokens} tokens, at most {MAX_TOKENS} are taken: shorten it")


@contextlib.contextmanager
def make_engine(name: str, config: SpAttenConfig, status: Status):
    """The engine called `name`, its simulation closed afterwards; None for "float"."""
    from spatten_hw.sim.models.engines import GoldenEngine, HardwareEngine

    if name != "rtl":
        yield GoldenEngine(config) if name == "golden" else None
        return
    from spatten_hw.sim.harness.transport import VerilatedTransport

    with VerilatedTransport(config, progress=lambda text: status.show(f"building the simulation: {text}")) as transport:
        status.show("simulation ready")
        yield HardwareEngine(config, transport)


def telling(status: Status, name: str, engine: Engine) -> Engine:
    """`engine`, telling the layer of the sentence `name` before each call."""
    def compute(task: LayerTask) -> Outcome:
        status.show(f"{name}, {task.layer_pass.name}")
        return engine(task)
    return compute
