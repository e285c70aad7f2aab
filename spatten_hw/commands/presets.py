"""`spatten-hw presets`: the builds there are."""

from __future__ import annotations

import argparse
import json

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.presets import PRESETS


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "presets", help="table of the builds there are", description="The presets and what each of them holds.",
        epilog="Any field can be changed on top of a preset: see spatten-hw generate --help.")
    parser.add_argument("--json", action="store_true", help="every field and derived number, as JSON")
    parser.set_defaults(handler=run)


def summary(c: SpAttenConfig) -> dict[str, object]:
    """The numbers by which users compare builds."""
    return {
        "multipliers_per_array": c.multipliers,
        "dims": list(c.dims),
        "keys_per_cycle": {str(d): round(c.multipliers / d, 2) for d in c.dims},
        "max_tokens": c.max_tokens,
        "channels": c.channels,
        "axi_data_bits": c.axi_data_bits,
        "peak_bytes_per_cycle": c.channels * c.beat_bytes,
        # Two halves of K and two of V.
        "kv_sram_bytes": 4 * c.sram_tokens * c.max_dim * c.operand_bits // 8,
        "topk_lanes": c.topk_lanes,
        "operand_bits": c.operand_bits,
        "prob_bits": PROB_BITS,
        "config_hash": f"{c.hash:08x}",
    }


def run(args: argparse.Namespace) -> None:
    """Prints the table, or JSON."""
    if args.json:
        table = {name: {**c.fields, **summary(c)} for name, c in PRESETS.items()}
        print(json.dumps(table, indent=2))
        return
    rows = [["preset", "multipliers", "D", "keys/cycle", "tokens", "channels", "peak B/cycle", "K+V SRAM",
             "top-k lanes", "hash"]]
    for name, c in PRESETS.items():
        rows.append([
            name, f"2 x {c.multipliers}", "/".join(map(str, c.dims)),
            "/".join(f"{c.multipliers / d:.3g}" for d in c.dims), str(c.max_tokens),
            f"{c.channels} x {c.axi_data_bits} bit", str(c.channels * c.beat_bytes),
            f"{4 * c.sram_tokens * c.max_dim * c.operand_bits // 8 / 1024:.0f} KB", str(c.topk_lanes), f"{c.hash:08x}"])
    print_columns(rows)


def print_columns(rows: list[list[str]]) -> None:
    """A table in columns, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
