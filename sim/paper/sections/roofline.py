"""What the full size reaches of its roofs."""

from __future__ import annotations

import numpy as np

from spatten_hw.presets import PRESETS
from spatten_hw.sim.rivals.benchmarks import bert, data
from spatten_hw.sim.rivals.rival import FULL, Cost
from spatten_hw.sim.rivals.spatten import SpAtten

from ..figures import roofline_svg
from ..numbers import paper, reason
from ..section import Row, Section, Table, shown
from ..study import Study

ABOUT = """\
Preset `full` (1,024 multipliers, 512 bytes per cycle, 1 GHz). Operations really done by the time that a benchmark
takes, against the roofs of multipliers and memory; averages are arithmetic. With HBM2's timing behind the ports instead
of memories at full bandwidth: last column."""


def _together(costs: list[Cost]) -> float:
    """TFLOPS done of all work together: long inputs count by their work."""
    return float(sum(c.operations.sum() for c in costs) / sum(c.cycles.sum() for c in costs)) * FULL.clock_ghz / 1000


def _bert(factor: float) -> float:
    """TFLOPS done of BERT-Base if all inputs were so many times as long."""
    lengths = {task: n for task, n in data()["tokens"].items() if task != "source"}
    chosen = [bert("bert-base", task, tokens=round(factor * n)) for task, n in lengths.items()]
    SpAtten().prepare([b.layers for b in chosen], FULL)
    return float(np.mean([SpAtten().cost(b.layers, FULL).done_gops(FULL) for b in chosen])) / 1000


def run(study: Study) -> Section:
    """The section."""
    ours, hbm = SpAtten(), SpAtten(memory=study.memory)
    for one in (ours, hbm):
        one.prepare([b.layers for b in study.benchmarks], FULL)
    done, intensity, on_hbm, bound = [], [], [], []
    costs = [ours.cost(b.layers, FULL) for b in study.benchmarks]
    for b, cost in zip(study.benchmarks, costs, strict=True):
        done.append(cost.done_gops(FULL))
        on_hbm.append(hbm.cost(b.layers, FULL).done_gops(FULL))
        intensity.append(float(cost.operations.sum() / cost.bytes.sum()))
        names, counts = np.unique(ours.estimates(b.layers, FULL).bound, return_counts=True)
        bound.append(str(names[counts.argmax()]))
    tflops, op_byte = np.array(done) / 1000, np.array(intensity)
    generates = np.array([b.generates for b in study.benchmarks])
    roof = FULL.peak_gops / 1000
    dense = np.array([float(b.layers.dense(32).operations.sum() / b.layers.dense(32).bytes.sum())
                      for b in study.benchmarks])
    asked = np.array([float(b.layers.operations.sum() / b.layers.bytes.sum()) for b in study.benchmarks])
    mean, gpt2 = tflops[~generates].mean(), tflops[generates].mean()
    memory_roof = (op_byte[generates] * FULL.bytes_per_cycle / 1000).mean()
    section = Section("roofline", "Throughput and roofline", ABOUT)
    section.rows = [
        Row("roofline.roof", roof, reason("roofline.roof")),
        Row("roofline.bert", mean, reason("roofline.bert", share=f"{100 * mean / roof:.0f}",
                                          paper=f"{100 * paper('roofline.bert') / paper('roofline.roof'):.0f}",
                                          most=shown(float(tflops[~generates].max())),
                                          weighted=shown(_together(costs[:22])))),
        Row("roofline.gpt2", gpt2, reason("roofline.gpt2", share=f"{100 * gpt2 / memory_roof:.0f}")),
        Row("roofline.intensity", op_byte[generates].mean(), reason(
            "roofline.intensity", asked=shown(asked[generates].mean()), small=shown(asked[22:26].mean()),
            medium=shown(asked[26:].mean()))),
        Row("roofline.intensity-dense", dense[generates].mean(), reason("roofline.intensity-dense")),
    ]
    cells = [["benchmark", "tokens", "TFLOPS", "of the nearest roof", "op/byte", "bound by", "TFLOPS on HBM2"]]
    for i, b in enumerate(study.benchmarks):
        nearest = min(roof, op_byte[i] * FULL.bytes_per_cycle / 1000)
        cells.append([b.name, f"{b.layers.context[0]:.0f}", shown(tflops[i]), f"{100 * tflops[i] / nearest:.0f} %",
                      shown(op_byte[i]), bound[i], shown(on_hbm[i] / 1000)])
    section.tables.append(Table("Each benchmark on `full`", cells))
    section.figure = roofline_svg(op_byte, tflops, generates, roof, FULL.bytes_per_cycle / 1000,
                                  [("paper, GPT-2", paper("roofline.intensity"), paper("roofline.gpt2"))])
    shorter, longer = (shown(_bert(factor)) for factor in (0.8, 1.2))
    section.notes.append(f"BERT's lengths are assumed. BERT-Base: {shown(float(tflops[:11].mean()))} TFLOPS; all "
                         f"inputs 20 % shorter {shorter}, longer {longer}.")
    section.data = {"preset": PRESETS["full"].name, "benchmarks": [b.name for b in study.benchmarks],
                    "tflops": tflops.tolist(), "op_per_byte": op_byte.tolist(), "bound": bound,
                    "tflops_hbm2": [v / 1000 for v in on_hbm]}
    return section
