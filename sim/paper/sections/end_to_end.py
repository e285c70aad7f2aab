"""Attention and fully connected layers together: shares of operations, and of time if the arrays ran both."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from ..figures import bars_svg
from ..section import Section, Table, shown
from ..study import Study

ABOUT = """\
This accelerator computes attention; the paper's variant SpAtten-e2e runs the FC layers on the same multipliers, weights
of 8 or 12 bits streamed from DRAM. By arithmetic: Q, K, V, output and both FFN layers on the tokens that are alive,
1,024 multipliers always busy, or 512 bytes of weights per cycle, whichever takes longer; attention by the model. The
paper's figures for this variant are not at hand."""
WEIGHT_BITS = (8, 12)


def run(study: Study) -> Section:
    """The section."""
    section = Section("end-to-end", "With fully connected layers", ABOUT)
    chosen = [b for b in study.benchmarks if b.name.split()[1] in ("squad-1.1", "wikitext-2")]
    cells = [["benchmark", "FC, share of dense operations", "attention, cycles",
              *(f"FC, cycles ({bits}-bit weights)" for bits in WEIGHT_BITS),
              *(f"attention, share of time ({bits} bit)" for bits in WEIGHT_BITS)]]
    shares: dict[str, list[float | None]] = {f"{bits}-bit weights": [] for bits in WEIGHT_BITS}
    for b in chosen:
        m, layers = b.model, b.layers
        weights = 4 * m["hidden"] ** 2 + 2 * m["hidden"] * m["ffn"]
        dense_fc = 2 * weights * layers.dense().queries.sum()
        attention = float(SpAtten().cost(layers, FULL).cycles.sum())
        line = [b.name, f"{100 * dense_fc / (dense_fc + layers.dense().operations.sum()):.0f} %", f"{attention:,.0f}"]
        times = []
        for bits in WEIGHT_BITS:
            work = weights * layers.queries / FULL.multipliers
            moved = np.full(len(layers), weights * bits / 8 / FULL.bytes_per_cycle)
            times.append(float(np.maximum(work, moved).sum()))
            shares[f"{bits}-bit weights"].append(100 * attention / (attention + times[-1]))
        cells.append([*line, *(f"{t:,.0f}" for t in times), *(f"{shown(s[-1])} %" for s in shares.values())])
        section.data[b.name] = {"attention": attention, "fc": dict(zip(map(str, WEIGHT_BITS), times, strict=True))}
    section.tables.append(Table("Cycles of attention and of FC layers", cells))
    section.figure = bars_svg([b.name for b in chosen], shares, "attention's share of the time, %")
    return section
