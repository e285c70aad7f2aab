"""Against accelerators of the same size: 128 multipliers, 64 GB/s, 1 GHz."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.rivals.benchmarks import benchmarks
from spatten_hw.sim.rivals.cpu import describe
from spatten_hw.sim.rivals.mnnfast import OVERHEAD
from spatten_hw.sim.rivals.registry import DEFAULT, RIVALS, chosen_rivals, chosen_workloads, cost_of
from spatten_hw.sim.rivals.rival import EIGHTH
from spatten_hw.sim.rivals.spatten import SpAtten

from ..figures import bars_svg
from ..numbers import paper, reason
from ..section import MISSING, Row, Section, Table, shown
from ..study import Study, geometric

ABOUT = """\
Effective throughput: operations of the dense layers by the time that a rival takes for them, whatever it leaves out.
The paper's figures are taken as of BERT, which is all that A3 and MNNFast were made for; averages are arithmetic."""


def run(study: Study) -> Section:
    """The section."""
    rivals = chosen_rivals(study.rivals)
    if study.cpu and not any(r.name == "cpu" for r in rivals):
        rivals.append(RIVALS["cpu"])
    gops: dict[str, np.ndarray] = {}
    moved: dict[str, np.ndarray] = {}
    for rival in rivals:
        study.say(f"rival {rival.name}")
        if isinstance(rival, SpAtten):
            rival.prepare([b.layers for b in study.benchmarks], EIGHTH)
        costs = [(b.layers, cost_of(rival, b.layers, EIGHTH)) for b in study.benchmarks]
        gops[rival.name] = np.array([cost.gops(layers, EIGHTH) for layers, cost in costs])
        moved[rival.name] = np.array([float(cost.bytes.sum()) for _, cost in costs])
    section = Section("rivals", "Other accelerators, size for size", ABOUT)
    bert = {name: float(values[:22].mean()) for name, values in gops.items()}
    if set(DEFAULT) <= set(gops):
        section.rows = _rows(bert, np.array([b.layers.context[0] for b in study.benchmarks if not b.generates]))
        for name in ("a3", "mnnfast"):
            more = geometric(moved[name][:22] / moved["spatten"][:22])
            key = f"eighth.energy-{name}"
            section.rows.append(Row(key, None, reason(key, bytes=shown(more)), MISSING))
    cells = [["rival", "BERT, GOP/s", "GPT-2, GOP/s", "ours faster: BERT", "GPT-2", "source"]]
    for rival in rivals:
        mine, values = gops.get("spatten"), gops[rival.name]
        over = ["–", "–"] if mine is None else [f"{shown(geometric(mine[part] / values[part]))}×"
                                               for part in (slice(22), slice(22, None))]
        cells.append([rival.title, shown(float(values[:22].mean())), shown(float(values[22:].mean())), *over,
                      describe() if rival.name == "cpu" else rival.source])
    section.figure = bars_svg([r.title for r in rivals], {
        "BERT": [float(gops[r.name][:22].mean()) for r in rivals],
        "GPT-2": [float(gops[r.name][22:].mean()) for r in rivals]}, "effective GOP/s, 128 multipliers, 64 GB/s")
    section.tables += [Table("Effective throughput", cells),
                       Table("What is assumed", [["rival", "assumption"], *([r.title, text] for r in rivals
                                                                            for text in r.assumptions)])]
    own = chosen_workloads(study.on)
    if own:
        cells = [["workload", "source", *(r.title for r in rivals)]]
        for b in own:
            reached = [cost_of(r, b.layers, EIGHTH).gops(b.layers, EIGHTH) for r in rivals]
            cells.append([b.name, b.source, *(shown(value) for value in reached)])
        section.tables.insert(1, Table("Effective throughput on chosen workloads, GOP/s", cells))
    section.data = {name: dict(zip((b.name for b in study.benchmarks), v.tolist(), strict=True))
                    for name, v in gops.items() if name != "cpu"}
    return section


def _rows(bert: dict[str, float], lengths: np.ndarray) -> list[Row]:
    """Against the paper's figures; `bert`: GOP/s of each rival."""
    ours, exact, near, other = (bert[name] for name in ("spatten", "a3-base", "a3", "mnnfast"))
    peak = EIGHTH.peak_gops
    saved = geometric(np.array([b.layers.dense().operations.sum() / b.layers.operations.sum()
                                for b in benchmarks()[:22]]))
    # Half of the multipliers at a time, and the cycles that a query takes beside its products.
    phases = np.mean(peak / 2 * lengths / (lengths + OVERHEAD / 2))
    return [
        Row("eighth.spatten", ours, reason("eighth.spatten", saved=shown(saved),
                                           busy=f"{100 * ours / peak / saved:.0f}",
                                           paper=f"{100 * paper('eighth.spatten') / peak / 2.1:.0f}")),
        Row("eighth.a3", exact, reason("eighth.a3", approximate=shown(near))),
        Row("eighth.mnnfast", other, reason("eighth.mnnfast", phases=shown(float(phases)))),
        Row("eighth.over-a3", ours / exact, reason("eighth.over-a3", approximate=f"{ours / near:.1f}")),
        Row("eighth.over-mnnfast", ours / other, reason("eighth.over-mnnfast")),
    ]
