"""`python -m spatten_hw.sim.soak`: random configurations under random work, see the package."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from spatten_hw.commands.arguments import count
from spatten_hw.errors import UserError
from spatten_hw.sim.status import Status
from spatten_hw.termination import ended_by_sigterm

from .draw import draw
from .run import describe, run_seed, soak
from .tally import Tally, generator_digest, markdown, summed

OUT = Path("build/soak")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m spatten_hw.sim.soak", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Draws configurations; each is refused with a reason, or built and run against the golden model.\n"
                    "What came of each seed is kept in OUT/tally.json; a stopped run goes on with the next seed.\n"
                    "Exit code 1: something differs (OUT/failures/SEED has it), 2: wrong arguments.")
    p.add_argument("--seconds", type=count, default=600, metavar="N",
                   help="no configuration begins after N seconds (default 600)")
    p.add_argument("--seed", type=count, default=1, metavar="S", help="first seed (default 1); those done are left out")
    p.add_argument("--jobs", type=count, default=1, metavar="N", help="configurations at a time (default 1)")
    p.add_argument("--config", type=count, metavar="SEED", help="run this seed alone, whether done or not; its library "
                   "is kept in OUT/kept, the tally is left as it is")
    p.add_argument("--tally", action="store_true", help="print the tally as Markdown and end")
    p.add_argument("--json", type=Path, metavar="FILE", help="write what came of this run's seeds as JSON")
    p.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where everything is kept (default {OUT})")
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        with ended_by_sigterm():
            return _run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    if args.json is not None and not args.json.parent.is_dir():
        raise UserError(f"--json {args.json}: there is no folder {args.json.parent}")
    if args.tally:
        if not (args.out / "tally.json").exists():
            raise UserError(f"{args.out}: no tally yet; run python -m spatten_hw.sim.soak")
        print(markdown(Tally(args.out / "tally.json"), generator_digest()))
        return 0
    status = Status()
    if args.config is not None:
        drawing = draw(args.config)
        print("\n".join(f"{name} = {value!r}" for name, value in drawing.fields.items()))
        entries = [run_seed(drawing, args.out, generator_digest(), status.show, keep=True)]
        status.clear()
        print("\n".join(entries[0]["wrong"]) or describe(entries[0]))
    else:
        entries = soak(args.out, args.seconds, args.seed, args.jobs,
                       lambda seed, text: status.show(f"seed {seed}: {text}"))
        status.clear()
        sums = summed(entries)
        print(f"seeds {', '.join(str(e['seed']) for e in entries) or 'none'}: " + ", ".join(
            f"{sums[n]:,} {n}" for n in ("passed", "refused", "failed", "unfinished", "queries", "cycles")))
        for e in entries:
            if e["outcome"] in ("failed", "unfinished"):
                print(f"seed {e['seed']}: {describe(e)}")
    if args.json is not None:
        args.json.write_text(json.dumps({"digest": generator_digest(), "sums": summed(entries), "entries": entries},
                                        indent=1))
    return int(any(e["outcome"] == "failed" for e in entries))


if __name__ == "__main__":
    sys.exit(main())
