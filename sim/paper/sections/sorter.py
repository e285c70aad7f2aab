"""The top-k engines beside a Batcher odd-even merge sorter, n = 1,024."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..batcher import comparators, network
from ..numbers import paper, reason
from ..section import MISSING, Row, Section, Table
from ..study import Study
from ..topk_cycles import VECTORS, engine_sources, measure

N, KEPT, LANES, KEY_BITS = 1024, 512, 16, 12
#: Sizes that are synthesised; a comparator's gates are those of the largest, over its comparators.
SIZES = (4, 8, 16)
ABOUT = """\
A sorter of n = 1,024 is 24,063 compare-exchange elements in 55 stages. As hardware it is `sim/paper/batcher_rtl.py`,
all of them at once with a register after every stage; it is synthesised for small n, and counted at n = 1,024. Sorters
of fewer elements take as many cycles longer. The engine is quick-select with 16 lanes (two arrays of 16 comparators),
measured on its Verilog, median of 1,024 random keys."""


def gates(liberty: Path | None) -> dict[str, Any]:
    """Cells of sorters and of the engine: LUTs of ECP5, and with `liberty` gate equivalents."""
    from spatten_hw.boards.flow.blocks import Design
    from spatten_hw.boards.flow.families import FAMILIES
    from spatten_hw.boards.flow.standard_cells import Liberty
    from spatten_hw.boards.flow.synthesis import synthesise
    from spatten_hw.engines import topk_engine
    from spatten_hw.sim.harness.kept import build_dir
    from spatten_hw.verilog import to_verilog

    from ..batcher_rtl import BatcherSorter

    cells = Liberty(liberty) if liberty else None
    cache = build_dir() / "synthesis"
    found: dict[str, Any] = {}
    for name, component in [(f"sorter {n}", BatcherSorter(KEY_BITS, n)) for n in SIZES] + [
            ("quick-select", topk_engine("quickselect", KEY_BITS, LANES, N))]:
        top = name.replace(" ", "_").replace("-", "_")
        design = Design(to_verilog(component, top))
        block = synthesise(design, top, FAMILIES["ecp5"], cache)
        found[name] = {"LUTs": block.utilisation.luts, "flip-flops": block.utilisation.flip_flops}
        if cells is not None:
            found[name]["gates"] = cells.gates(synthesise(design, top, cells.family, cache).cells)
    return found


def run(study: Study) -> Section:
    """The section."""
    section = Section("sorter", "Top-k engine and sorter", ABOUT)
    inputs = {"n": N, "k": KEPT, "lanes": LANES, "vectors": VECTORS, "engine": engine_sources()}
    timed = study.point(f"quick-select, n = {N}", inputs, lambda: measure(LANES, [(N, KEPT)]))
    digest = hashlib.sha256(study.liberty.read_bytes()).hexdigest() if study.liberty else None
    inputs = {"sizes": SIZES, "engine": engine_sources(), "liberty": digest}
    cells = study.point("gates of sorters and engine", inputs, lambda: gates(study.liberty))
    total, stages = comparators(N), len(network(N))
    if timed is None:
        section.rows = [Row(key, None, reason("sorter.missing"), MISSING) for key in ("sorter.speed", "sorter.power")]
        return section
    cycles = float(timed[f"{N} {KEPT}"])
    same = total / (2 * LANES)
    # A sorter that the paper's ratio of throughput would be of.
    as_fast = total / (paper("sorter.speed") * cycles)
    section.rows = [
        Row("sorter.speed", same / cycles, reason("sorter.speed", same=f"{same:,.0f}", cycles=f"{cycles:.0f}",
                                                  as_fast=f"{as_fast:.0f}")),
        Row("sorter.power", as_fast / (2 * LANES), reason("sorter.power")),
    ]
    rows = [["", "comparators", "cycles per vector", "stages"],
            ["quick-select, P = 16", str(2 * LANES), f"{cycles:.0f}", "–"],
            ["Batcher, whole", f"{total:,}", "1", str(stages)],
            ["Batcher, 32 comparators", "32", f"{same:,.0f}", "–"]]
    section.tables.append(Table("Comparators and cycles, n = 1,024", rows))
    if cells is not None:
        kinds = list(next(iter(cells.values())))
        largest = f"sorter {SIZES[-1]}"
        per = {kind: cells[largest][kind] / comparators(SIZES[-1]) for kind in kinds}
        table = [["", *kinds]]
        table += [[name, *(f"{values[kind]:,.0f}" for kind in kinds)] for name, values in cells.items()]
        table.append([f"sorter {N}, counted", *(f"{per[kind] * total:,.0f}" for kind in kinds)])
        section.tables.append(Table("Synthesised (LUTs: ECP5; memories of the engine are not in gates)", table))
        kind, engine = kinds[0], cells["quick-select"][kinds[0]]
        section.notes += [
            reason("sorter.element", cells=f"{per[kind]:.0f} {kind}", times=f"{per[kind] * total / engine:.0f}"),
            reason("sorter.reused", elements=f"{as_fast:.0f}", cells=f"{per[kind] * as_fast:,.0f} {kind}",
                   engine=f"{engine:,.0f}")]
    section.data = {"cycles": cycles, "comparators": total, "cells": cells}
    return section
