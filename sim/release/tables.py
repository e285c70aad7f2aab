"""The JSON of a bench as the rows of a table. A target that was missed is set in bold, as is its figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Report = dict[str, Any]
Rows = list[list[str]]
#: What stands under "met".
YES, NO, NONE = "yes", "**no**", "–"


def cycles(report: Report) -> tuple[list[str], Rows]:
    """`bench attention`: cycles against the bound, and the target."""
    rows = []
    for case in report["cases"]:
        target = case["target"]
        rows.append([f"`{case['name']}`", case["shape"], f"{case['cycles']:,}", f"{case['bound']['limit']:,.0f}",
                     _binds(case["bound"]), f"{case['ratio']:.3f}",
                     *((target["text"], _shown(target), _met(target["met"])) if target else (NONE,) * 3)])
    return ["case", "layer", "cycles", "bound", "binds", "cycles / bound", "target", "reached", "met"], rows


def figures(report: Report) -> tuple[list[str], Rows]:
    """`bench memory`: what is measured besides cycles."""
    rows = []
    for case in report["cases"]:
        for f in case["figures"]:
            target = NONE if f["limit"] is None else f"{'≥' if f['at_least'] else '≤'} {_number(f['limit'])}"
            rows.append([f"`{case['name']}`", f["what"], _bold(_number(f["value"]), f["met"]), target, _met(f["met"])])
        if case["target"]:
            rows.append([f"`{case['name']}`", "cycles per query", _bold(f"{case['target']['reached']:.1f}",
                                                                        case["target"]["met"]),
                         f"≤ {case['target']['limit']:g}", _met(case["target"]["met"])])
    return ["case", "figure", "value", "target", "met"], rows


def dram(report: Report) -> tuple[list[str], Rows]:
    """`bench memory`: the memory's side."""
    rows = []
    for case in report["cases"]:
        d = case["dram"]
        if d is not None:
            rate = d["bytes_per_cycle"]
            rows.append([f"`{case['name']}`", f"{100 * d['hit_share']:.1f} %", f"{d['row_conflicts']:,}",
                         f"{d['mean_latency_ns']:.0f} ns",
                         f"{min(rate):.1f} / {sum(rate) / len(rate):.1f} / {max(rate):.1f}",
                         f"{d['pj_per_bit']:.2f}"])
    return ["case", "rows hit", "conflicts", "mean latency", "B/cycle and channel, least / mean / most", "pJ/bit"], rows


def traffic(report: Report) -> tuple[list[str], Rows]:
    """`bench memory`: bytes and energy against dense attention of the same layers."""
    rows = []
    for case in report["cases"]:
        t, d = case["traffic"], case["dram"]
        moved = sum(t["bytes"].values())
        widths = sorted(t["dense_bytes"], key=int)
        energy = [NONE if d is None else f"{d['access_energy_nj'] / d['dense_access_energy_nj'][w]:.3f}"
                  for w in widths]
        rows.append([f"`{case['name']}`", f"{moved:,}", *(f"{moved / t['dense_bytes'][w]:.3f}" for w in widths),
                     *energy])
    widths = sorted(report["cases"][0]["traffic"]["dense_bytes"], key=int)
    return ["case", "bytes", *(f"bytes / dense {w} bit" for w in widths),
            *(f"energy / dense {w} bit" for w in widths)], rows


def requests(report: Report) -> tuple[list[str], Rows]:
    """`bench attention --workload` or `bench memory --workload`: cycles per request by order and class."""
    rows = []
    for case in report["cases"]:
        target = case["target"]
        rows.append([f"`{case['name']}`", f"{case['queries']:,}",
                     _bold(f"{case['cycles_per_query']:.1f}", target and target["met"]),
                     f"{case['bound']['limit'] / case['queries']:.1f}",
                     target["text"] if target else NONE, _met(target["met"]) if target else NONE])
        rows += [[f"– {p['name']}", f"{p['queries']:,}", f"{p['cycles_per_query']:.1f}", f"{p['bound_per_query']:.1f}",
                  NONE, NONE] for p in case["parts"]]
    return ["order, class of requests", "requests", "cycles per request", "bound", "target", "met"], rows


def engines(report: Report) -> tuple[list[str], Rows]:
    """`bench topk`, random vectors."""
    rows = []
    for case in report["cases"]:
        if case["data"] == "random":
            target = NONE if case["target"] is None else f"≤ {case['target']:g}"
            rows.append([case["engine"], str(case["lanes"]), case["case"], f"{case['cycles']:.1f}", str(case["worst"]),
                         str(case["latency"]), f"{case['bound']:.0f}", target, _met(case["met"])])
    return ["engine", "P", "vectors", "cycles, mean", "worst", "latency", "rows", "target", "met"], rows


def units(report: Report) -> tuple[list[str], Rows]:
    """`bench units`."""
    def latency(case: Report) -> str:
        return NONE if case["latency"] is None else f"{case['latency']} ({case['stated_latency']})"

    rows = [[c["unit"], c["case"], f"{c['cycles']:,}", f"{c['stated_cycles']:,}", f"{c['bubbles']:,}", latency(c)]
            for c in report["cases"]]
    return ["unit", "vectors", "cycles", "stated", "bubbles", "latency (stated)"], rows


#: By the word after the preset in a table's name.
KINDS: dict[str, Callable[[Report], tuple[list[str], Rows]]] = {
    "attention": cycles, "memory": figures, "dram": dram, "traffic": traffic, "requests": requests,
    "memory-requests": requests, "topk": engines, "units": units,
}


def _binds(bound: Report) -> str:
    from spatten_hw.sim.bench.bounds import LABELS

    return LABELS[bound["binds"]]


def _shown(target: Report) -> str:
    from spatten_hw.sim.bench.cases import Target

    return _bold(Target(target["figure"], target["limit"]).show(target["reached"]), target["met"])


def _met(met: bool | None) -> str:
    return NONE if met is None else YES if met else NO


def _bold(text: str, met: bool | None) -> str:
    return f"**{text}**" if met is False else text


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 10_000 else f"{value:,.0f}"
