"""Against accelerators of the same size: 128 multipliers, 64 GB/s, 1 GHz."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.rivals.cpu import describe
from spatten_hw.sim.rivals.registry import DEFAULT, RIVALS, chosen_rivals, chosen_workloads
from spatten_hw.sim.rivals.rival import EIGHTH

from ..section import Row, Section, Table, shown
from ..study import Study

ABOUT = """\
Effective throughput: operations of the dense layers by the time that a rival takes for them, whatever it leaves out.
The paper's figures are taken as of BERT, which is all that A3 and MNNFast were made for; averages are arithmetic."""


def run(study: Study) -> Section:
    """The section."""
    rivals = chosen_rivals(study.rivals)
    if study.cpu and not any(r.name == "cpu" for r in rivals):
        rivals.append(RIVALS["cpu"])
    gops: dict[str, np.ndarray] = {}
    for rival in rivals:
        study.say(f"rival {rival.name}")
        gops[rival.name] = np.array([rival.cost(b.layers, EIGHTH).gops(b.layers, EIGHTH) for b in study.benchmarks])
    section = Section("rivals", "Other accelerators, size for size", ABOUT)
    bert = {name: float(values[:22].mean()) for name, values in gops.items()}
    if set(DEFAULT) <= set(gops):
        section.rows = [
            Row("eighth.spatten", bert["spatten"], "256 GOP/s of multipliers, of which it keeps "
                f"{100 * bert['spatten'] / 256 / 2.03:.0f} % busy, × 2.0 for what pruning leaves out; the paper's 360 are "
                f"{100 * 360 / 256 / 2.1:.0f} % of 256 × 2.1"),
            Row("eighth.a3", bert["a3-base"], "its exact pipeline, n + 9 cycles per query. With its approximation, and "
                f"K sorted on the way, our model says {shown(bert['a3'])}: the paper does not say which it takes"),
            Row("eighth.mnnfast", bert["mnnfast"], "skipping values saves no time where Q×K decides. The paper's figure "
                "is about what two phases without overlap and without skipping give, "
                f"{shown(float(np.mean(128 * _lengths(study) / (_lengths(study) + 4.5))))}; how it was found, is not "
                "said"),
            Row("eighth.over-a3", bert["spatten"] / bert["a3-base"], f"exact A3; {bert['spatten'] / bert['a3']:.1f}× over "
                "the approximate one. Ours keeps its multipliers busier (above)"),
            Row("eighth.over-mnnfast", bert["spatten"] / bert["mnnfast"], "as above: our model of MNNFast is kinder than "
                "the paper's, our accelerator faster"),
        ]
    cells = [["rival", "BERT, GOP/s", "GPT-2, GOP/s", "ours faster: BERT", "GPT-2", "source"]]
    for rival in rivals:
        mine, values = gops.get("spatten"), gops[rival.name]
        over = ["–", "–"] if mine is None else [f"{(mine[part] / values[part]).mean():.2f}×"
                                               for part in (slice(22), slice(22, None))]
        cells.append([rival.title, shown(float(values[:22].mean())), shown(float(values[22:].mean())), *over,
                      describe() if rival.name == "cpu" else rival.source])
    section.tables += [Table("Effective throughput", cells),
                       Table("What is assumed", [["rival", "assumption"], *([r.title, text] for r in rivals
                                                                            for text in r.assumptions)])]
    own = chosen_workloads(study.on)
    if own:
        cells = [["workload", "source", *(r.title for r in rivals)]]
        cells += [[b.name, b.source, *(shown(r.cost(b.layers, EIGHTH).gops(b.layers, EIGHTH)) for r in rivals)] for b in own]
        section.tables.insert(1, Table("Effective throughput on chosen workloads, GOP/s", cells))
    section.data = {name: dict(zip((b.name for b in study.benchmarks), v.tolist(), strict=True))
                    for name, v in gops.items() if name != "cpu"}
    return section


def _lengths(study: Study) -> np.ndarray:
    return np.array([b.layers.context[0] for b in study.benchmarks if not b.generates])
