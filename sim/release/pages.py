"""Writing the tables into the pages of docs/, and holding the pages against the present Verilog."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from spatten_hw.commands.config import DEFAULT_PRESET, config_from_args
from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest
from spatten_hw.source_tree import repository

from .benches import Run, present
from .blocks import Block, blocks, render, replace
from .tables import KINDS, NO, YES

EXAMPLES = repository() / "examples"
#: Digests outside of tables, for what takes hours or tools of its own: `Verilog 0123456789ab of `small``; presets, and
#: builds of `examples/`.
_MENTION = re.compile(r"Verilog ([0-9a-f]{12}) of `([\w-]+)`")


def write(pages: list[Path], runs: list[Run], folder: Path) -> list[str]:
    """Fills every table that one of `runs` has a present report for; the names of the tables written."""
    written = []
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    for run in runs:
        report = present(run, folder)
        if report is None:
            continue
        for name in run.tables:
            header, rows = KINDS[name.split("/")[1]](report)
            table = render(header, rows, report["verilog_digest"], run.preset, run.command)
            for page, text in texts.items():
                if any(b.name == name for b in blocks(text)):
                    texts[page] = replace(text, name, table)
                    written.append(name)
    for page, text in texts.items():
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
    return written


def faults(page: Path) -> Iterator[str]:
    """What is wrong with a page's figures: one line each."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(text):
        if not block.digest:
            yield f"{page.name}: table {block.name} has never been measured; make bench"
            continue
        yield from (f"{page.name}: table {block.name}, {fault}" for fault in _rows(block))
    for digest, name in sorted(set(_MENTION.findall(text))):
        build = PRESETS.get(name) or example(name)
        if build is None:
            yield f"{page.name}: figures of Verilog {digest} of `{name}`, which is no preset and no example"
        elif (now := verilog_digest(build)) != digest:
            yield f"{page.name}: figures of Verilog {digest} of `{name}`, which is {now} now; measure again"


def example(name: str) -> SpAttenConfig | None:
    """The build of `examples/NAME.toml`, or None."""
    path = EXAMPLES / f"{name}.toml"
    if not path.exists():
        return None
    return config_from_args(argparse.Namespace(preset=None, config=path, settings=[], default_preset=DEFAULT_PRESET))


def _rows(block: Block) -> Iterator[str]:
    """Rows whose figure and target do not go with what stands under "met"."""
    if "met" not in block.header:
        return
    columns = [block.header.index(name) for name in ("target", "met")]
    value = next(block.header.index(name) for name in ("reached", "value", "cycles per request", "cycles, mean")
                 if name in block.header)
    for row in block.rows:
        target, met = (row[c] for c in columns)
        limit = re.match(r"([≥≤]) ([\d.,]+)", target)
        if limit is None:
            continue
        number = float(re.sub(r"[^\d.]", "", row[value]))
        bound = float(limit[2].replace(",", ""))
        # Shown figures are rounded: one that lies on its target may be on either side.
        reached = number >= bound if limit[1] == "≥" else number <= bound
        if reached != (met == YES) and number != bound:
            yield f"{row[0]}: {row[value]} for {target} is marked {met}"
        if (met == NO) != ("**" in row[value]):
            yield f"{row[0]}: a missed target is in bold, and only that"
