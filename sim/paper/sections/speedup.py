"""Speed and energy against CPUs and GPUs: the paper's, quoted, set to our cycles."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from ..numbers import numbers, paper
from ..section import MISSING, QUOTED, Row, Section, Table, shown
from ..study import Study
from .silicon import read

ABOUT = """\
No GPU and none of the paper's CPUs is at hand, and the paper gives averages alone. Its ratio times ours by the paper's
throughput of its own accelerator (geometric mean over the benchmarks, BERT 1.61 and GPT-2 0.43 TFLOPS done) is what it
would be with our cycles, if both prune alike. Energies are those of the model (sim/estimate) with HBM2."""
TITLES = {"titan-xp": "TITAN Xp", "xeon": "Xeon E5-2640 v4", "nano": "Jetson Nano", "raspberry": "Raspberry Pi 4"}
#: Parts of the model's energy that are SRAM.
MEMORIES = ("sram", "buffers")


def run(study: Study) -> Section:
    """The section."""
    ours, hbm = SpAtten(), SpAtten(memory=study.memory)
    faster, power = [], []
    for b in study.benchmarks:
        reached = ours.cost(b.layers, FULL).done_gops(FULL) / 1000
        faster.append(reached / paper("roofline.gpt2" if b.generates else "roofline.bert"))
        found, ns = hbm.estimates(b.layers, FULL), hbm.cost(b.layers, FULL).cycles.sum()
        dram = sum(float(v.sum()) for name, v in found.energy.items() if name.startswith("dram"))
        sram = sum(float(found.energy[name].sum()) for name in MEMORIES)
        power.append((float(found.total_energy.sum()) - dram - sram, sram, dram))
        power[-1] = tuple(nj / ns for nj in power[-1])
    factor = float(np.exp(np.log(faster).mean()))
    watts = np.array(power)
    total = float(watts.sum(axis=1).mean())
    section = Section("speedup", "Against CPUs and GPUs", ABOUT)
    why = f"the paper's × {factor:.2f} (our throughput by its own: BERT {np.mean(faster[:22]):.2f}, GPT-2 " \
          f"{np.mean(faster[22:]):.2f})"
    section.rows = [Row(f"speedup.{name}", paper(f"speedup.{name}") * factor, why, QUOTED) for name in TITLES]
    watt = None if study.silicon is None else read(study.silicon).get("silicon.power")
    if watt is None:
        section.rows += [Row(f"energy.{name}", None, "needs the power of the mapped design (--silicon); the model's, below, "
                             "is of units alone", MISSING) for name in TITLES]
    else:
        gain = factor * paper("silicon.power") / watt
        section.rows += [Row(f"energy.{name}", paper(f"energy.{name}") * gain, f"the paper's × {gain:.2f}: its 8.30 W "
                             f"against {watt:.2f} W of `bench silicon`, and the speed above", QUOTED) for name in TITLES]
    unit = "Energies of units alone, from published tables of 45 nm: no clock tree, wires or leakage; `bench silicon` " \
           "has those of the mapped design."
    section.tables.append(Table("Power of `full`, W, by the model", [
        ["part", "BERT", "GPT-2", "all 30", "the paper"],
        *([name, shown(float(watts[:22, i].mean())), shown(float(watts[22:, i].mean())), shown(float(watts[:, i].mean())),
           shown(paper(f"silicon.{key}"))]
          for i, (name, key) in enumerate((("logic", "power-logic"), ("SRAM", "power-sram"), ("DRAM", "power-dram")))),
        ["sum", shown(float(watts[:22].sum(axis=1).mean())), shown(float(watts[22:].sum(axis=1).mean())), shown(total),
         shown(paper("silicon.power"))]]))
    section.notes = [unit]
    section.data = {"faster": faster, "watts": {b.name: w for b, w in zip(study.benchmarks, power, strict=True)},
                    "numbers": {key: n.value for key, n in numbers().items() if key.startswith(("speedup", "energy"))}}
    return section
