"""What `spatten-hw chat` tells and writes of an answer."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from spatten_hw.output import write_all

if TYPE_CHECKING:
    from spatten_hw.sim.models.decoder.report import Report


def told_of(report: Report, mhz: int) -> str:
    """What is printed behind an answer."""
    from spatten_hw.sim.models.decoder.report import render

    text = render(report)
    steps = [t.result.cycles for t in report.traces if t.step and t.result.cycles is not None]
    if steps:
        parts = max(t.layer for t in report.traces) + 1
        cycles = sum(steps) / (len(steps) / parts)
        c = report.config
        text += (f"\nattention of a step: {cycles:,.0f} cycles over {parts} {report.part}s; at {mhz} MHz "
                 f"{mhz * 1e6 / cycles:,.0f} tokens/s for attention alone, with memory that gives "
                 f"{c.channels * c.beat_bytes} bytes per cycle")
    return text


def write(report: Report, args: argparse.Namespace) -> None:
    """Writes the files of `--json` and `--html`, all or none. Raises `UserError` if one cannot be written."""
    contents = []
    if args.json is not None:
        from spatten_hw.sim.models.decoder.report import as_json
        contents.append((args.json, (json.dumps(as_json(report), indent=2) + "\n").encode()))
    if args.html is not None:
        from spatten_hw.sim.report.html import render
        from spatten_hw.sim.report.of_generation import generation_record
        contents.append((args.html, render(generation_record(report)).encode()))
    write_all(contents)
