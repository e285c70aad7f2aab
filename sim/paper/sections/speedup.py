"""Speed and energy against CPUs and GPUs: the paper's, quoted, set to our cycles."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from ..figures import comparison_svg
from ..numbers import numbers, paper, reason
from ..section import MISSING, QUOTED, Row, Section, Table, shown
from ..study import Study
from .silicon import read

ABOUT = """\
No GPU and none of the paper's CPUs is at hand, and the paper gives averages alone. Its ratio times ours by the paper's
throughput of its own accelerator (geometric mean over the benchmarks, BERT 1.61 and GPT-2 0.43 TFLOPS done) is what it
would be with our cycles, if both prune alike. Energies are those of the model (sim/estimate) with HBM2."""
#: The last parts of the keys of their numbers.
MACHINES = ("titan-xp", "xeon", "nano", "raspberry")
#: Parts of the model's energy that are SRAM.
MEMORIES = ("sram", "buffers")


def run(study: Study) -> Section:
    """The section."""
    ours, hbm = SpAtten(), SpAtten(memory=study.memory)
    for one in (ours, hbm):
        one.prepare([b.layers for b in study.benchmarks], FULL)
    faster: list[float] = []
    power: list[tuple[float, ...]] = []
    for b in study.benchmarks:
        reached = ours.cost(b.layers, FULL).done_gops(FULL) / 1000
        faster.append(reached / paper("roofline.gpt2" if b.generates else "roofline.bert"))
        found, ns = hbm.estimates(b.layers, FULL), hbm.cost(b.layers, FULL).cycles.sum()
        dram = sum(float(v.sum()) for name, v in found.energy.items() if name.startswith("dram"))
        sram = sum(float(found.energy[name].sum()) for name in MEMORIES)
        logic = float(found.total_energy.sum()) - dram - sram
        power.append((logic / ns, sram / ns, dram / ns))
    factor = float(np.exp(np.log(faster).mean()))
    section = Section("speedup", "Against CPUs and GPUs", ABOUT)
    why = reason("speedup.all", factor=f"{factor:.2f}", bert=f"{np.mean(faster[:22]):.2f}",
                 gpt2=f"{np.mean(faster[22:]):.2f}")
    section.rows = [Row(f"speedup.{name}", paper(f"speedup.{name}") * factor, why, QUOTED) for name in MACHINES]
    watt = None if study.silicon is None else read(study.silicon).get("silicon.power")
    if watt is None:
        section.rows += [Row(f"energy.{name}", None, reason("energy.missing"), MISSING) for name in MACHINES]
    else:
        gain = factor * paper("silicon.power") / watt
        why = reason("energy.all", gain=f"{gain:.2f}", watt=f"{watt:.2f}")
        section.rows += [Row(f"energy.{name}", paper(f"energy.{name}") * gain, why, QUOTED) for name in MACHINES]
    section.figure = comparison_svg(dict(zip(("TITAN Xp", "Xeon", "Jetson Nano", "Raspberry Pi"),
                                                                    section.rows, strict=False)), "× faster", log=True)
    section.tables.append(_power_table(np.array(power)))
    section.notes = ["Energies of units alone, from published tables of 45 nm: no clock tree, wires or leakage; `bench "
                     "silicon` has those of the mapped design."]
    section.data = {"faster": faster, "watts": {b.name: w for b, w in zip(study.benchmarks, power, strict=True)},
                    "numbers": {key: n.value for key, n in numbers().items() if key.startswith(("speedup", "energy"))}}
    return section


def _power_table(watts: np.ndarray) -> Table:
    """Of watts [benchmark, part]."""
    cells = [["part", "BERT", "GPT-2", "all 30", "the paper"]]
    for i, (name, key) in enumerate((("logic", "power-logic"), ("SRAM", "power-sram"), ("DRAM", "power-dram"))):
        cells.append([name, *_averages(watts[:, i]), shown(paper(f"silicon.{key}"))])
    return Table("Power of `full`, W, by the model", [*cells, ["sum", *_averages(watts.sum(axis=1)),
                                                              shown(paper("silicon.power"))]])


def _averages(values: np.ndarray) -> list[str]:
    """Of BERT, GPT-2, all."""
    return [shown(float(part.mean())) for part in (values[:22], values[22:], values)]
