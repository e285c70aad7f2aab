"""What `bench memory` tells of a case, as tables and as JSON: figures, the memory's side, bytes and energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.results import OPERAND_CLASSES
from spatten_hw.sim.dram.timing import DramTiming

from . import report as rows_report
from .session import Outcome
from .table import table
from .traffic import DENSE_BITS


def report(config: SpAttenConfig, latency: int, memory: DramTiming | None,
           outcomes: Sequence[Outcome]) -> dict[str, object]:
    """All of it for a JSON file: that of `bench attention` with more in every case."""
    whole = rows_report.report(config, latency, [o.row for o in outcomes])
    whole["memory"] = {"model": "perfect" if memory is None else memory.name, "latency": latency,
                       "peak_bytes_per_cycle": config.channels * config.beat_bytes,
                       "timing": None if memory is None else asdict(memory)}
    whole["cases"] = [o.row.as_json | _more(o) for o in outcomes]
    return whole


def _more(o: Outcome) -> dict[str, object]:
    t = o.traffic
    return {"figures": [f.as_json for f in o.figures],
            "dram": None if o.memory is None else o.memory.as_json,
            "traffic": {"bytes": t.bus, "asked": t.asked, "over_fetch": t.over_fetch(),
                        "over_fetch_by_class": {name: t.over_fetch(name) for name in OPERAND_CLASSES},
                        "dense_bytes": {str(bits): count for bits, count in t.dense.items()}}}


def render(outcomes: Sequence[Outcome]) -> str:
    """All of it for a terminal."""
    blocks = [_figures(outcomes), _memory(outcomes), _bytes(outcomes), rows_report.render([o.row for o in outcomes])]
    return "\n\n".join(block for block in blocks if block)


def _figures(outcomes: Sequence[Outcome]) -> str:
    cells = [["case", "figure", "value", "target", "met"]]
    for o in outcomes:
        for f in o.figures:
            target = "-" if f.limit is None else f"{'≥' if f.least else '≤'} {f.show(f.limit)}"
            cells.append([o.row.name, f.what, f.show(f.value), target, {None: "-", True: "yes", False: "NO"}[f.met]])
    return table(cells, left=2) if len(cells) > 1 else ""


def _memory(outcomes: Sequence[Outcome]) -> str:
    cells = [["memory", "rows hit", "closed", "conflicts", "group waits", "latency", "B/cycle and channel",
              "bursts/asked", "access energy", "pJ/bit", "refresh, standing"]]
    for o in outcomes:
        m = o.memory
        if m is None:
            continue
        mean = sum(m.bandwidth) / len(m.bandwidth)
        cells.append([o.row.name, f"{100 * m.stats.row_hits / m.accesses:.1f} %", str(m.stats.row_closed),
                      str(m.stats.row_conflicts), str(m.stats.bank_group_waits), f"{m.stats.latency_ns:.0f} ns",
                      f"{min(m.bandwidth):.1f}/{mean:.1f}/{max(m.bandwidth):.1f}", f"{m.burst_over_fetch:.3f}",
                      f"{m.access_nj:.0f} nJ", f"{m.pj_per_bit:.2f}", f"{m.energy_nj['total'] - m.access_nj:.0f} nJ"])
    return table(cells) if len(cells) > 1 else ""


def _bytes(outcomes: Sequence[Outcome]) -> str:
    cells = [["bytes and energy", "bytes", "on the bus/asked", *OPERAND_CLASSES,
              *(f"bytes/dense {bits}" for bits in DENSE_BITS), *(f"energy/dense {bits}" for bits in DENSE_BITS)]]
    for o in outcomes:
        t = o.traffic
        parts = [t.over_fetch(name) for name in (None, *OPERAND_CLASSES)]
        energies = ["-" if o.memory is None else f"{o.memory.access_nj / o.memory.dense_nj[bits]:.3f}"
                    for bits in DENSE_BITS]
        cells.append([o.row.name, str(t.total), *("-" if x is None else f"{x:.3f}" for x in parts),
                      *(f"{t.total / t.dense[bits]:.3f}" for bits in DENSE_BITS), *energies])
    return table(cells)
