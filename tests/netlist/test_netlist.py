"""After synthesis: the mapped netlist computes a layer of each stage as the golden model does.

Of a tiny build and of preset `small`, with ECP5's cells and with standard cells: `make netlist`. The models of cells
that are ours have a bench of their own, `test_ecp5_blocks.py`.
"""

from pathlib import Path

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.kept import build_dir
from spatten_hw.sim.netlist.mapped import Netlist, cell_netlist, ecp5_netlist
from spatten_hw.sim.netlist.run import compiled, run_stages

from ..integration.builds import LEAST

#: One multiplier row, two heads. Contexts of 32, since memories of 16 words and less become flip-flops.
TINY = LEAST.replace(name="tiny", max_tokens=32, sram_tokens=32, max_heads=2, chunk_queries=0)
GENERIC = Path(__file__).parent / "generic.lib"


def netlist(config: SpAttenConfig, cells: str) -> Netlist:
    cache = build_dir() / "netlist"
    return ecp5_netlist(config, cache) if cells == "ecp5" else cell_netlist(config, GENERIC, cache)


def check(config: SpAttenConfig, mapped: Netlist) -> None:
    runs = run_stages(config, compiled(mapped, config))
    assert [run.stage for run in runs] == ["summarise", "generate"]
    for run in runs:
        assert not run.differences, (run.stage, run.differences[:3])


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("config", [TINY, PRESETS["small"]], ids=lambda config: config.name)
@pytest.mark.parametrize("cells", ["ecp5", "cells"])
def test_netlist(config, cells):
    mapped = netlist(config, cells)
    if cells == "ecp5":
        assert mapped.cells["MULT18X18D"] and mapped.cells["DP16KD"] and mapped.cells["TRELLIS_FF"]
        assert not any(cell.startswith("$") for cell in mapped.cells)
    else:  # everything is mapped, but for memories that would be SRAM
        assert {cell for cell in mapped.cells if cell.startswith("$")} <= {"$mem_v2"}
        assert mapped.cells["DFF"] > 1000
    check(config, mapped)
