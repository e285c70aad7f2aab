"""`python -m spatten_hw.sim.perf balance | cases | questions`: tables of the model as Markdown."""

from __future__ import annotations

import argparse

from .balance import FIGURES, FULLEST, fullest
from .cases import standard_cases
from .machine import PRESETS, Latencies
from .questions import LAYERS, questions


def line(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def header(cells: list[str]) -> None:
    line(cells)
    line(["---"] * len(cells))


def balance(seeds: int) -> None:
    """The figures of the idealised machine."""
    header(["figure", "stated", "here", "difference"])
    for turned, stated in FULLEST.items():
        here = fullest(turned)
        line([f"fullest / mean, channel {'(t + h)' if turned else 't'} mod 16", f"{stated:.2f}", f"{here:.2f}",
              f"{here / stated - 1:+.1%}"])
    for figure in FIGURES:
        here = figure.modelled(seeds)
        line([f"n={figure.tokens} k={figure.keep}, {figure.heads} heads", f"{figure.stated:.2f}", f"{here:.2f}",
              f"{here / figure.stated - 1:+.1%}"])


def cases(seeds: int, preset: str | None) -> None:
    """Cycles of the standard layers, with a near and a far memory, as designed and better."""
    header(["machine", "layer", "bound", "binds", "cycles", "/ bound", "/ bound, latency 60", "better walk",
            "latency 60"])
    for machine in (PRESETS[preset],) if preset else PRESETS.values():
        # As designed; then with "tail" and a gather that passes over rows of which nothing is kept.
        better = machine.replace(first="tail", latencies=Latencies(gather_gap=1, skip=True))
        machines = [m.replace(memory_latency=latency) for m in (machine, better) for latency in (8, 60)]
        for case in standard_cases(machine):
            run, *others = [case.run(m, seeds) for m in machines]
            line([machine.name, case.name, f"{run.bound:,.0f}", run.binds, f"{run.cycles:,.0f}",
                  *(f"{r.ratio:.3f}" for r in (run, *others))])


def answers(seeds: int, only: str) -> None:
    """Cycles / bound on `full` for every parameter asked for."""
    for question in questions():
        if only in question.name:
            header([question.name, *(case.name for case in LAYERS)])
            for row in question.rows(seeds):
                line(row)
            print()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.perf", description=__doc__)
    parser.add_argument("table", choices=("balance", "cases", "questions"))
    parser.add_argument("--seeds", type=int, default=3, help="draws of survivors and kept values")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="only this machine (cases)")
    parser.add_argument("--only", default="", help="only questions with this in their name")
    args = parser.parse_args()
    if args.table == "balance":
        balance(args.seeds)
    elif args.table == "cases":
        cases(args.seeds, args.preset)
    else:
        answers(args.seeds, args.only)


if __name__ == "__main__":
    main()
