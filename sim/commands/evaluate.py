"""`spatten-hw evaluate`: accuracy against savings on real text, with the golden model's exact arithmetic."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from spatten_hw.commands.arguments import count
from spatten_hw.commands.config import add_config_arguments, config_from_args
from spatten_hw.errors import UserError
from spatten_hw.output import check_folder, new_folders, write_all
from spatten_hw.sim.status import Status

from .evaluate_run import as_json, endless_cache, evaluate, rtl_line, task_context

EPILOG = """\
Encoder: the sentence encoder all-MiniLM-L6-v2 on sentences of Python's documentation; loss is what is lost of the
ranking of all pairs of sentences (1 − Spearman). Decoder: the project's GPT (`make gpt` trains it) on text it has never
seen; loss is the rise of perplexity over float. smollm2: SmolLM2-135M-Instruct (`make chat` fetches it) on windows of
Python's documentation; loss as the GPT's, savings are those of generation, with the intervals of a bootstrap over the
windows; with --tasks loss is the part of the answers that float gets right and the point does not; with --endless it
is that of a text without end in a cache of fixed size, with its drift. Classifier: NanoGuard, which finds prompt
injections, on labelled texts (make evaluate fetches both); loss is lost accuracy against float. Every point runs in the
hardware's integers, many sequences at once.

A grid of your own is a TOML file of tables [[point]]; fields and defaults:
  model = "encoder" | "decoder" | "smollm2" | "classifier"   the first two if missing
  bits = 8 | [6, 4] | "float"     K and V: MSBs, or MSBs and LSBs       q_bits = 0       0: as wide as K
  threshold = 0.0                 rows with max(P) below it fetch LSBs  keep_values = 1  part kept per query
  keep_tokens = 1 | [0.9, 0.5]    part kept after the front, in the last layer
  keep_heads = 1 | [1, 0.75]      the same for heads                    front_tokens = 0.15, front_heads = 0.3
  protect_last = 8                newest tokens never pruned (decoder)
  pool_dropped = false            pruned tokens stay in the mean over tokens as they were (encoder, classifier)
  lsb_margin = 3                  flat rows fetch the LSBs of keys within so many nats alone (decoder's steps)
  keep_mass = 0.9                 values per query that make up this part of the probability
  give_back = false               outputs times all probability / that of the values used
smollm2 alone:
  v_bits = 4 | [4, 4]             V's widths, if not K's
  k_scale = "head"                or channel (for the whole context), pair (of rotated channels), prompt (channels as
                                  the prompt needs them), unrotated (quantised before RoPE, to measure)
  v_scale = "head"                or channel
  prompt_here = false             prompts under the point too; else densely in float before it, as by a GPU
  evict = "snapkv", cache = 512   tokens dropped for good, so many stay for each K/V head: {evictions}

DIR gets evaluate.json, evaluate.md (every point in a table), plots as SVG and PNG, and points.jsonl: what is finished
there is not measured again.

examples:
  spatten-hw evaluate -o build/evaluate                  both models, the default grid
  spatten-hw evaluate --model encoder --quick
  spatten-hw evaluate --model classifier -o build/classifier
  spatten-hw evaluate --model decoder --points mine.toml --rtl-check 1
  spatten-hw evaluate --model smollm2 -o build/smollm2   the language model, an hour on two cores; may be stopped
  spatten-hw evaluate --model smollm2 --tasks -o build/tasks
  spatten-hw evaluate --model smollm2 --endless 20480 -o build/endless
"""

#: Presets of models whose D is not 32: 64 of the language model, 128 of the classifier.
PRESET_OF = {"smollm2": "eighth", "classifier": "full"}


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "evaluate", help="accuracy of real models against savings, over a grid of settings", description=__doc__,
        epilog=EPILOG, formatter_class=_Formatter)
    parser.add_argument("--model", choices=("encoder", "decoder", "smollm2", "classifier", "both"), default="both",
                        help="both (default): encoder and decoder")
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--points", type=Path, metavar="FILE.toml", help="points of your own instead of the default grid")
    parser.add_argument("--tasks", action="store_true",
                        help="smollm2: tasks of long context (needle, key-value, variables, common) instead of "
                             "perplexity")
    parser.add_argument("--endless", type=count, metavar="N",
                        help="smollm2: a text of N tokens behind a prompt, in a cache as long as the prompt "
                             "(--context, default 512; quick 128)")
    grid.add_argument("--quick", action="store_true", help="a small grid and less text, for a look")
    parser.add_argument("--text", type=Path, metavar="FILE",
                        help="your text: a sentence per line for the encoder, prose for the decoder; JSON lines "
                             'for the classifier, {"text": "…", "label": "malicious" or "benign"}')
    parser.add_argument("--sentences", type=count, metavar="N",
                        help="sentences of the encoder (default 200; quick 60), or texts of the classifier (all; quick "
                             "60)")
    parser.add_argument("--windows", type=count, metavar="N",
                        help="windows of the decoder, 128 predictions each (default 40; quick 8), or of smollm2 (20; "
                             "quick 4)")
    parser.add_argument("--context", type=count, metavar="N",
                        help="tokens of a window of smollm2 (default 1024; quick 256)")
    parser.add_argument("--steps", type=count, metavar="N",
                        help="of these, tokens generated and predicted (default 128; quick 32)")
    parser.add_argument("--weights", type=Path, metavar="FILE.npz",
                        help="weights of the GPT (default: what make gpt made)")
    parser.add_argument("--workers", type=count, default=os.cpu_count() or 1, metavar="N",
                        help="processes, each with one thread (default: all cores)")
    parser.add_argument("--rtl-check", type=count, metavar="N",
                        help="run N of the inputs on the simulated Verilog too; exit 1 if a bit differs")
    parser.add_argument("--no-plots", action="store_true", help="JSON and tables only; needs no matplotlib")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/evaluate"), metavar="DIR",
                        help="folder for results, made if missing (default build/evaluate)")
    add_config_arguments(parser)
    parser.set_defaults(handler=run)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Names the policies of eviction; they are imported for --help alone."""

    def format_help(self) -> str:
        from spatten_hw.sim.models.eviction.policy import EVICTIONS

        return super().format_help().replace("{evictions}", ", ".join(EVICTIONS))


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0, or 1 if hardware and batches differ."""
    if args.model in PRESET_OF:
        args.default_preset = PRESET_OF[args.model]
    if args.model != "smollm2" and (args.context or args.steps or args.tasks or args.endless):
        raise UserError("--context, --steps, --tasks and --endless are of --model smollm2; leave them out")
    if args.model == "classifier" and (args.windows or args.weights):
        raise UserError("--windows and --weights are not of --model classifier; leave them out")
    if args.tasks and (args.steps or args.windows or args.text or args.rtl_check or args.endless):
        raise UserError("--tasks has texts, answers and depths of its own: leave --text, --windows, --steps, --endless "
                        "and --rtl-check out")
    if args.endless and (args.steps or args.rtl_check):
        raise UserError("--endless says itself how many tokens are predicted: leave --steps and --rtl-check out")
    config = config_from_args(args)
    from spatten_hw.sim.evaluate.endless import check_endless
    from spatten_hw.sim.evaluate.grid import default_grid, own_grid
    from spatten_hw.sim.evaluate.markdown import markdown
    from spatten_hw.sim.evaluate.point import MODELS
    from spatten_hw.sim.evaluate.points_file import read_points

    models = MODELS[:2] if args.model == "both" else (args.model,)
    if args.tasks and args.points is None:
        from spatten_hw.sim.evaluate.language_grid import task_grid
        grids = {"smollm2": task_grid(task_context(args))}
    elif args.endless and args.points is None:
        from spatten_hw.sim.evaluate.language_grid import endless_grid
        grids = {"smollm2": endless_grid(endless_cache(args))}
    elif args.points is None:
        grids = {model: default_grid(model, args.quick) for model in models}
    else:
        points = [p for p in read_points(args.points) if p.model in models]
        grids = {model: own_grid([p for p in points if p.model == model]) for model in models
                 if any(p.model == model for p in points)}
        if not grids:
            raise UserError(f"{args.points}: has no point for --model {args.model}")
    for series in grids.values():
        for s in series:
            for point in s.points:
                point.check(config)
                if args.endless:
                    check_endless(point, endless_cache(args))
        if args.rtl_check and not any(p.bits is not None and not p.evict for s in series for p in s.points):
            raise UserError("--rtl-check: none of the points can be checked; it needs one with bits and without evict")
    if not args.no_plots:
        from spatten_hw.sim.evaluate.figures import check_installed
        check_installed()
    check_folder(args.output)
    with new_folders(args.output), Status() as status:
        summaries = [evaluate(model, series, config, args, status) for model, series in grids.items()]
        contents = [(args.output / "evaluate.json", as_json(summaries, config)),
                    (args.output / "evaluate.md", markdown(summaries).encode())]
        if not args.no_plots:
            from spatten_hw.sim.evaluate.plots import plots
            status.show("drawing")
            for summary in summaries:
                contents += [(args.output / name, data) for name, data in plots(summary)]
        write_all(contents)
    for summary in summaries:
        print(summary.table())
        if summary.rtl is not None:
            print(rtl_line(summary))
            for line in summary.rtl["mismatches"][:10]:
                print(f"DIFFERS {line}")
        print()
    print(f"written to {args.output}: {', '.join(sorted(path.name for path, _ in contents))}")
    return 1 if any(s.rtl is not None and s.rtl["mismatches"] for s in summaries) else 0
