"""`spatten-hw paper`: the evaluation of the SpAtten paper on this accelerator, its numbers beside ours."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.output import check_apart, check_folder, check_targets, new_folders, write_all

TITLE = "The SpAtten paper's evaluation, and this accelerator's"
EPILOG = """\
Written to the folder: index.html (one file), paper.md, paper.json and a figure per part as SVG (with matplotlib).
Points that take a simulation or a synthesis are kept in points.jsonl there: a stopped run goes on. Ten minutes the
first time, most of it simulation of top-k engines; --quick leaves out what is not in the folder yet.

examples:
  spatten-hw paper
  spatten-hw paper --quick --only reductions --only rivals -o build/look
  spatten-hw paper --workload gpt2-small-wikitext2.csv --cpu
  spatten-hw paper --quick --add my_rival.py --rival spatten --rival mine --only rivals
"""
DEFAULT_FOLDER = Path("build/paper")
#: What is always in the folder, beside figures.
FILES = ("points.jsonl", "index.html", "paper.md", "paper.json")


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("paper", help="the paper's evaluation, its numbers beside ours", description=__doc__,
                                   epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER",
                        help=f"where pages and points go (default {DEFAULT_FOLDER})")
    parser.add_argument("--only", action="append", metavar="PART", help="only this part; repeatable")
    parser.add_argument("--quick", action="store_true", help="no simulation, no synthesis: what takes seconds")
    parser.add_argument("--workload", type=Path, metavar="FILE.csv", help="the authors' requests, as a part of its own")
    parser.add_argument("--silicon", type=Path, metavar="FILE.json", help="area and power, of spatten-hw bench silicon")
    parser.add_argument("--liberty", type=Path, metavar="FILE.lib", help="count gates of sorters in these cells, too")
    parser.add_argument("--rival", action="append", metavar="NAME", help="compare with this one; repeatable")
    parser.add_argument("--on", action="append", metavar="WORKLOAD",
                        help="a table of the rivals on this workload, too; repeatable")
    parser.add_argument("--add", action="append", default=[], type=Path, metavar="FILE.py",
                        help="a file with rivals and workloads of your own; repeatable (docs/rivals.md)")
    parser.add_argument("--cpu", action="store_true", help="measure attention on this CPU, too (PyTorch; a minute)")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write paper.json here as well")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from spatten_hw.sim.evaluate.store import Store
    from spatten_hw.sim.paper import html, markdown
    from spatten_hw.sim.paper.evaluation import evaluate, source
    from spatten_hw.sim.paper.sections.silicon import read
    from spatten_hw.sim.paper.study import Study
    from spatten_hw.sim.rivals.registry import chosen_rivals, chosen_workloads, extend
    from spatten_hw.sim.status import Status

    for path in args.add:
        extend(path)
    chosen_rivals(args.rival)
    chosen_workloads(args.on)
    for option, path in (("--workload", args.workload), ("--liberty", args.liberty), ("--silicon", args.silicon)):
        if path is not None and not path.is_file():
            raise UserError(f"{option} {path}: there is no such file")
    if args.silicon is not None:
        read(args.silicon)
    if args.json is not None:
        check_targets([args.json])
        check_apart("--json", args.json, args.output)
    check_folder(args.output, files=FILES)
    with new_folders(args.output), Status() as status:
        study = Study(Store(args.output / "points.jsonl"), args.workload, args.silicon, args.liberty, not args.quick,
                      args.cpu, args.rival, args.on, say=status.show)
        sections = evaluate(study, args.only)
        about = source()
        report = json.dumps({"source": about, "sections": [s.as_json for s in sections]}, indent=2)
        files = {"index.html": html.page(sections, TITLE, about), "paper.md": markdown.page(sections, TITLE, about),
                 "paper.json": report + "\n", **{f"{s.name}.svg": s.figure for s in sections if s.figure}}
        targets = [(args.output / name, text.encode()) for name, text in files.items()]
        if args.json is not None:
            targets.append((args.json, (report + "\n").encode()))
        write_all(targets)
    print(markdown.numbers_table(sections))
    print(args.output / "index.html")
    return 0
