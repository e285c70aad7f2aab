"""Lanes of the top-k engine, and what the paper's build-up of the speed-up becomes with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatten_hw.sim.rivals.benchmarks import Benchmark
from spatten_hw.sim.rivals.layers import Layers
from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten

from ..figures import bars_svg
from ..numbers import paper, reason
from ..section import MISSING, Row, Section, Table, shown
from ..study import Study, geometric
from ..topk_cycles import VECTORS, engine_sources, measure

LANES = (1, 2, 4, 8, 16, 32)
#: Bits of K, V before quantisation in the build-up: the widest that the accelerator has.
WIDE = 12
ABOUT_LANES = """\
Generation of GPT-2-Small and -Medium on `full`, with quick-select of P lanes for local value pruning instead of its
line-rate engine: per layer the larger of what the model says of the rest and heads × the cycles per vector measured on
the engine's Verilog (random keys). Operations really done by time, mean over the 8 benchmarks; the paper does not say
on which benchmark its figures are."""
ABOUT_STEPS = """\
The 8 GPT-2 benchmarks on `full`, geometric means, each step with all before it. The first is the paper's figure over
its GPU, to which ours is set: only the steps are ours."""


def cases(benchmarks: Sequence[Benchmark]) -> list[tuple[int, int]]:
    """(keys, kept values) of all layers that prune values, contexts of the first steps alone (993 … 1,024 keys are
    alike)."""
    found = {(int(n), int(k)) for b in benchmarks for n, k in zip(b.layers.tokens, b.layers.keep, strict=True)}
    return sorted({(min(n, 994), k) for n, k in found if k < n})


def vector_cycles(study: Study, lanes: int) -> dict[str, float] | None:
    """Cycles per vector by "n k"; None if they may not be measured."""
    gpt2 = [b for b in study.benchmarks if b.generates]
    wanted = cases(gpt2)
    inputs = {"lanes": lanes, "cases": wanted, "vectors": VECTORS, "engine": engine_sources()}
    return study.point(f"quick-select, {lanes} lanes", inputs, lambda: measure(lanes, wanted))


def with_engine(layers: Layers, cycles: dict[str, float]) -> np.ndarray:
    """Cycles of the layers where top-k takes so many per vector."""
    rest = SpAtten().cost(layers, FULL).cycles
    per_vector = np.array([cycles.get(f"{min(int(n), 994)} {int(k)}", 0.0)
                           for n, k in zip(layers.tokens, layers.keep, strict=True)])
    return np.maximum(rest, per_vector * layers.heads * layers.group)


def lanes(study: Study) -> Section:
    """The sweep over lanes."""
    section = Section("topk", "Lanes of the top-k engine", ABOUT_LANES)
    gpt2 = [b for b in study.benchmarks if b.generates]
    line_rate = float(np.mean([SpAtten().cost(b.layers, FULL).done_gops(FULL) for b in gpt2]))
    reached: list[float | None] = []
    for p in LANES:
        cycles = vector_cycles(study, p)
        reached.append(None if cycles is None else float(np.mean(
            [b.layers.operations.sum() / with_engine(b.layers, cycles).sum() for b in gpt2])))
    top = reached[LANES.index(16)]
    for p, value in zip(LANES, reached, strict=True):
        if value is None or top is None:
            section.rows.append(Row(f"topk.p{p}", None, reason("topk.missing"), MISSING))
        else:
            section.rows.append(Row(f"topk.p{p}", value, reason(
                f"topk.p{p}", share=f"{100 * value / top:.0f}",
                paper=f"{100 * paper(f'topk.p{p}') / paper('topk.p16'):.0f}")))
    section.notes.append(f"The line-rate engine of `full`: {shown(line_rate)} GFLOPS.")
    section.figure = bars_svg([str(p) for p in LANES], {"the paper": [paper(f"topk.p{p}") for p in LANES],
                                                        "ours, quick-select": reached,
                                                        "ours, line rate": [line_rate] * len(LANES)},
                              "GFLOPS done, P lanes")
    section.data = {"lanes": list(LANES), "quick-select": reached, "line rate": line_rate}
    return section


def _of_bits(layers: Layers, bits: int, wide: dict[str, int]) -> float:
    """Cycles of pruned layers whose K and V had so many bits, more than the accelerator has: those of 12 bits, or what
    the bytes take."""
    moved = layers.with_(**wide | {"k_bits": bits, "v_bits": bits}).bytes
    return float(np.maximum(SpAtten().cost(layers.with_(**wide), FULL).cycles, moved / FULL.bytes_per_cycle).sum())


def steps(study: Study) -> Section:
    """The build-up of the speed-up."""
    section = Section("breakdown", "Where the speed-up is from", ABOUT_STEPS)
    gpt2 = [b for b in study.benchmarks if b.generates]
    ours = SpAtten()
    wide = {"k_bits": WIDE, "v_bits": WIDE, "k_lsb_bits": 0, "v_lsb_bits": 0, "flat": 0}
    one, sixteen = vector_cycles(study, 1), vector_cycles(study, 16)

    def time(change, engine: dict[str, float] | None = None) -> np.ndarray:
        times = []
        for b in gpt2:
            layers = change(b.layers)
            taken = ours.cost(layers, FULL).cycles if engine is None else with_engine(layers, engine)
            times.append(float(taken.sum()))
        return np.array(times)

    base = time(lambda x: x.dense(WIDE))
    pruned, final = time(lambda x: x.with_(**wide)), time(lambda x: x)
    slow = None if one is None else geometric(base / time(lambda x: x.with_(**wide), one))
    fast = None if sixteen is None else geometric(base / time(lambda x: x.with_(**wide), sixteen))
    from_half, from_float = (geometric(np.array([_of_bits(b.layers, bits, wide) for b in gpt2]) / final)
                             for bits in (16, 32))
    start = paper("breakdown.datapath")
    by_pruning, by_bits = geometric(base / pruned), geometric(pruned / final)
    section.rows = [
        Row("breakdown.pruned", start * by_pruning, reason("breakdown.pruned", step=f"{by_pruning:.1f}")),
        Row("breakdown.all", start * by_pruning * by_bits, reason(
            "breakdown.all", step=f"{by_bits:.1f}", from_float=f"{from_float:.1f}", from_half=f"{from_half:.1f}")),
    ]
    cells = [["step", "ours, × before", "the paper, × before"],
             ["pruning of tokens, heads, values", f"{by_pruning:.2f}", f"{74.2 / 22.1:.2f}"],
             ["– with quick-select, 1 lane", "–" if slow is None else f"{slow:.2f}", "about 1.2"],
             ["– with quick-select, 16 lanes", "–" if fast is None else f"{fast:.2f}", f"{74.2 / 22.1:.2f}"],
             ["quantisation", f"{by_bits:.2f}", f"{209 / 74.2:.2f}"],
             ["both", f"{by_pruning * by_bits:.2f}", f"{209 / 22.1:.2f}"]]
    section.tables.append(Table("Steps", cells))
    section.figure = bars_svg(["data path", "+ pruning, top-k", "+ quantisation"],
                              {"the paper": [22.1, 74.2, 209], "ours (first bar: the paper's)":
                               [start, start * by_pruning, start * by_pruning * by_bits]}, "× over the GPU", log=True)
    section.data = {"pruning": by_pruning, "quantisation": by_bits, "quick-select 1": slow, "quick-select 16": fast}
    return section
