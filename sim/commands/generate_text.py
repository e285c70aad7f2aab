"""`spatten-hw generate-text`: a small GPT writes on from a prompt, its attention on the chosen engine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spatten_hw.commands.config import add_config_arguments, config_from_args
from spatten_hw.errors import UserError
from spatten_hw.output import check_targets, write_all
from spatten_hw.sim.commands.demo import make_engine
from spatten_hw.sim.engine import ENGINES
from spatten_hw.sim.status import Status

if TYPE_CHECKING:
    from spatten_hw.host.workload.schedule import Schedule
    from spatten_hw.sim.models.decoder.settings import DecoderSettings

EPILOG = """\
The model (trained by `make gpt` on Python's own documentation, a character per token) runs in numpy but for its
attention: the prompt is a causal job per layer, every further character a generation job per layer, with K and V
appended to the cache in the accelerator's memory. rtl compares every job with the golden model, bit for bit; the exit
code is 1 if any bit differs. docs/generation.md says more.

examples:
  spatten-hw generate-text --prompt "The import statement" --tokens 60
  spatten-hw generate-text --prompt "class A:" --tokens 100 --engine golden --temperature 0.7 --top-k 10 --seed 3
  spatten-hw generate-text --prompt "A generator is" --tokens 60 --keep-tokens 0.5 --keep-values 0.5 --k-bits 6+4 \\
      --v-bits 8 --q-bits 8 --threshold 0.2 --json out.json --html out.html
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "generate-text", help="a GPT with a KV cache, its attention in the generated hardware", description=__doc__,
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="what to go on from; printable ASCII, newlines")
    parser.add_argument("--tokens", type=int, default=60, metavar="N", help="characters to generate (default 60)")
    parser.add_argument("--engine", choices=ENGINES, default="rtl", help="what computes attention (default rtl)")
    sampling = parser.add_argument_group("choice of the next character")
    sampling.add_argument("--temperature", type=float, default=0.0, metavar="T",
                          help="0 (default): the likeliest; above: drawn, the more freely the higher")
    sampling.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest only")
    sampling.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (default 0)")
    pruning = parser.add_argument_group("pruning; nothing by default")
    for what, whole in (("tokens", "the tokens, from the second layer on"), ("heads", "the heads, likewise"),
                        ("values", "the values per query, of the tokens alive")):
        pruning.add_argument(f"--keep-{what}", type=float, metavar="RATIO", help=f"part kept of {whole}")
    pruning.add_argument("--schedule", type=Path, metavar="FILE.toml",
                         help="a file with a table [schedule] instead of the three ratios (docs/workloads.md)")
    pruning.add_argument("--protect-first", type=int, default=1, metavar="N", help="first tokens kept (default 1)")
    pruning.add_argument("--protect-last", type=int, default=24, metavar="N", help="newest tokens kept (default 24)")
    bits = parser.add_argument_group("operand widths; 12 bits by default")
    bits.add_argument("--q-bits", type=int, default=12, metavar="BITS", help="of Q")
    bits.add_argument("--k-bits", type=_widths, default=(12, 0), metavar="MSB[+LSB]", help="of K, for example 6+4")
    bits.add_argument("--v-bits", type=_widths, default=(12, 0), metavar="MSB[+LSB]", help="of V")
    bits.add_argument("--threshold", type=float, default=0.0, metavar="P",
                      help="fetch LSBs of rows whose largest probability is below P, 0 … 1 (default 0: never)")
    rules = parser.add_argument_group("decision rules beside the paper's")
    rules.add_argument("--lsb-margin", type=float, metavar="NATS",
                       help="steps fetch the LSBs of keys within NATS of the largest score alone, 0 … 22")
    rules.add_argument("--keep-mass", type=float, metavar="PART",
                       help="values per query that make up this part of the probability, at most 1")
    rules.add_argument("--give-back", action="store_true",
                       help="outputs times all probability / that of the values used")
    parser.add_argument("--weights", type=Path, metavar="FILE.npz", help="a trained model (default: of `make gpt`)")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write text, counts, bytes and cycles per job")
    parser.add_argument("--html", type=Path, metavar="OUT.html",
                        help="write a page that shows who was pruned, importance, bytes and cycles")
    add_config_arguments(parser)
    parser.set_defaults(handler=run)


def _widths(text: str) -> tuple[int, int]:
    parts = text.split("+")
    if len(parts) > 2 or not all(p.isdigit() for p in parts):
        raise argparse.ArgumentTypeError(f"{text}: give a width or MSB+LSB, for example 6+4")
    return int(parts[0]), int(parts[1]) if len(parts) == 2 else 0


def settings_from_args(args: argparse.Namespace) -> DecoderSettings:
    """The settings of the options. Raises `UserError` for what breaks a rule."""
    from spatten_hw.host.rules import Rules
    from spatten_hw.sim.models.decoder.settings import DecoderSettings

    rules = Rules(args.lsb_margin, args.keep_mass, args.give_back)
    return DecoderSettings(args.q_bits, args.k_bits, args.v_bits, args.threshold, _schedule(args), args.protect_first,
                           args.protect_last, rules)


def _schedule(args: argparse.Namespace) -> Schedule:
    from spatten_hw.host.workload.fixed_schedule import FixedRatios
    from spatten_hw.host.workload.read_options import load_toml
    from spatten_hw.host.workload.schedule import ScheduleError
    from spatten_hw.host.workload.schedule_fields import read_schedule

    ratios = {name: getattr(args, name) for name in ("keep_tokens", "keep_heads", "keep_values")}
    if args.schedule is None:
        return FixedRatios(**ratios)
    given = [f"--{name.replace('_', '-')}" for name, value in ratios.items() if value is not None]
    if given:
        raise UserError(f"--schedule is given beside {', '.join(given)}: leave out one or the other")
    table = load_toml(args.schedule)
    if "schedule" not in table:
        raise UserError(f"{args.schedule}: has no table [schedule]; docs/workloads.md describes it")
    try:
        return read_schedule(table["schedule"])
    except ScheduleError as error:
        raise UserError(f"{args.schedule}: {error}") from None


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    check_targets([path for path in (args.json, args.html) if path is not None])
    # Slow to import, and not needed for --help.
    from spatten_hw.sim.models.decoder import report as decoder_report
    from spatten_hw.sim.models.decoder.attention import FloatAttention, integer_attention
    from spatten_hw.sim.models.decoder.jobs import check_build
    from spatten_hw.sim.models.decoder.sampling import Sampler, generate
    from spatten_hw.sim.models.decoder.session import Session, check_request
    from spatten_hw.sim.models.gpt import vocabulary
    from spatten_hw.sim.models.gpt.model import load_gpt

    settings = settings_from_args(args)
    sampler = Sampler(args.temperature, args.top_k, args.seed)
    prompt = vocabulary.encode(args.prompt)
    with Status() as status:
        model = load_gpt(args.weights)
        check_request(model, settings, len(prompt), args.tokens)
        check_build(model, config, settings, len(prompt))
        with make_engine(args.engine, config, status) as engine:
            attention = FloatAttention() if engine is None else integer_attention(engine)
            session = Session(model, config, settings, attention)
            status.show(f"prompt of {len(prompt)} characters")
            start = time.monotonic()
            generated: list[int] = []
            for token in generate(session, prompt, args.tokens, sampler):
                if not generated:
                    status.clear()
                    _emit(args.prompt)
                generated.append(token)
                _emit(vocabulary.decode([token]))
                if not sys.stdout.isatty():
                    status.show(f"{len(generated)}/{args.tokens} characters")
            _emit("\n")
            seconds = time.monotonic() - start
    report = decoder_report.Report(
        config, args.engine, settings, tuple(args.prompt), tuple(vocabulary.decode(generated)), session.traces,
        getattr(engine, "mismatches", []), getattr(engine, "compared", 0), seconds)
    print(decoder_report.render(report))
    contents = []
    if args.json is not None:
        contents.append((args.json, (json.dumps(decoder_report.as_json(report), indent=2) + "\n").encode()))
    if args.html is not None:
        from spatten_hw.sim.report.html import render
        from spatten_hw.sim.report.of_generation import generation_record
        contents.append((args.html, render(generation_record(report)).encode()))
    write_all(contents)
    return 1 if report.mismatches else 0


def _emit(text: str) -> None:
    print(text, end="", flush=True)
