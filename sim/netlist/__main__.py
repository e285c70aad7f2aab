"""python -m spatten_hw.sim.netlist [--preset small] [--liberty FILE.lib]: synthesises, simulates the netlist, compares.

Without --liberty the cells are those of ECP5. Exit code 1 if a result differs from the golden model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.kept import build_dir

from .mapped import cell_netlist, ecp5_netlist
from .run import compiled, run_stages


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.netlist", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--liberty", type=Path, metavar="FILE.lib", help="standard cells of this file, not ECP5's")
    parser.add_argument("--seed", type=int, default=1, help="of the layers' numbers")
    args = parser.parse_args(argv)
    config = PRESETS[args.preset]

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        cache = build_dir() / "netlist"
        netlist = (cell_netlist(config, args.liberty, cache, tell) if args.liberty
                   else ecp5_netlist(config, cache, tell))
        print(f"{args.preset}: {sum(netlist.cells.values())} cells, synthesis {netlist.usage.seconds:.0f} s")
        for cell, count in sorted(netlist.cells.items(), key=lambda item: -item[1]):
            print(f"  {cell:18} {count:7}")
        library = compiled(netlist, config, tell)
        wrong = 0
        for run in run_stages(config, library, args.seed):
            wrong += len(run.differences)
            verdict = "; ".join(run.differences) or "equal to the golden model"
            print(f"{run.stage:10} {run.cycles} cycles, {run.cycles / run.seconds:.0f} cycles/s: {verdict}", flush=True)
    except UserError as error:
        print(f"spatten_hw.sim.netlist: {error}", file=sys.stderr)
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
