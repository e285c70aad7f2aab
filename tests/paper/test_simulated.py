"""The parts that take a simulation: with measured points made up, and measured (nightly)."""

import numpy as np
import pytest

from spatten_hw.sim.paper.sections import sorter, topk
from spatten_hw.sim.paper.study import Study
from spatten_hw.sim.paper.topk_cycles import engine_sources, measure
from spatten_hw.sim.rivals.layers import Layers
from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten


class MadeUp(Study):
    """Every vector of n keys takes 2·n / P + 10 cycles."""

    def point(self, what, inputs, compute):
        if what.startswith("gates"):
            return {"sorter 16": {"LUTs": 6300}, "quick-select": {"LUTs": 5000}}
        cases = inputs.get("cases") or [(inputs["n"], inputs["k"])]
        return {f"{n} {k}": 2 * n / inputs["lanes"] + 10 for n, k in cases}


def test_more_lanes_are_faster_until_they_do_not_bind():
    rows = topk.lanes(MadeUp()).rows
    values = [row.ours for row in rows]
    assert len(values) == 6 and values[0] < values[1] / 1.7 and (np.diff(values) > 0).all()
    assert all(row.ours is None for row in topk.lanes(Study(simulate=False)).rows)


def test_an_engine_binds_only_where_it_is_slower():
    layers = Layers.of(generate=1, context=1000, model_heads=12, dim=64, tokens=[900, 100],
                       keep=[300, 20], k_bits=8, v_bits=8)
    rest = SpAtten().cost(layers, FULL).cycles
    assert topk.with_engine(layers, {"900 300": 1e6}) == pytest.approx([12e6, rest[1]])


def test_every_layer_that_prunes_values_is_measured():
    study = Study(simulate=False)
    wanted = topk.cases([b for b in study.benchmarks if b.generates])
    assert {(993, 204), (921, 184), (102, 20), (994, 307), (307, 92)} <= set(wanted) and len(wanted) < 15


def test_the_sorter_beside_the_engine():
    section = sorter.run(MadeUp())
    cycles = 2 * 1024 / 16 + 10
    assert section.rows[0].ours == pytest.approx(24_063 / 32 / cycles)
    assert section.rows[1].ours == pytest.approx(24_063 / 1.4 / cycles / 32)
    assert any("2,406,300" in cell for table in section.tables for line in table.cells for cell in line)


def test_sources_are_the_engines():
    assert len(engine_sources()) == 12 and engine_sources() == engine_sources()


@pytest.mark.nightly
def test_the_engine_is_as_fast_as_its_bench_says():
    """docs/performance.md: 180 cycles for half of 1,024."""
    assert measure(16, [(1024, 512)])["1024 512"] == pytest.approx(180, rel=0.08)
