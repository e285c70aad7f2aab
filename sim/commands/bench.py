"""`spatten-hw bench`: how near the generated hardware comes to what its size allows, and what that size is."""

from __future__ import annotations

import argparse

from spatten_hw.sim.bench import area, attention, memory, topk, units
from spatten_hw.sim.silicon import command as silicon

#: Each adds its subcommand with `register(subparsers)`.
BENCHES = (area, attention, memory, silicon, topk, units)


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command and its subcommands."""
    parser = subparsers.add_parser("bench", help="cycles of the simulated hardware against their bounds; area",
                                   description=__doc__)
    benches = parser.add_subparsers(title="benches", metavar="BENCH", required=True)
    for bench in BENCHES:
        bench.register(benches)
