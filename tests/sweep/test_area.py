"""Areas of points: by synthesis in FPGA cells and in standard cells, and by the law."""

import importlib.util
from pathlib import Path

import pytest

from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest
from spatten_hw.sim.sweep.area import AreaChoice, liberty_of, measure_area
from spatten_hw.sim.sweep.task import Task, run_tasks
from tests.integration.builds import LEAST

#: As little to synthesise as there can be.
TINY = PRESETS["small"].replace(name="tiny", multipliers=4, chunk=4, max_dim=4, operand_bits=4, max_tokens=8,
                                sram_tokens=8, max_heads=1, max_group=1, slots=2, topk_lanes=1, axi_data_bits=32,
                                reads=2, pool_beats=32, job_queue=2)
LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


@pytest.mark.parametrize("preset", PRESETS)
def test_the_law(preset):
    config = PRESETS[preset]
    found = {target: measure_area(config, AreaChoice("law", target), print) for target in ("ecp5", "xc7")}
    assert found["ecp5"]["luts"] > found["xc7"]["luts"] > 1000 and set(found["xc7"]) == {
        "luts", "flip_flops", "dsps", "brams"}


@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="pip install 'spatten-hw[boards]'")
@pytest.mark.parametrize("target", ["ecp5", "cells"])
def test_synthesis(target, tmp_path):
    if target == "cells" and not LIBERTY.is_file():
        pytest.skip("no Liberty file: apt-get install qflow-tech-osu018")
    choice = AreaChoice() if target == "ecp5" else AreaChoice.of("s.toml", tmp_path, liberty=str(LIBERTY))
    task = Task("area", TINY, area=choice)
    [found] = run_tasks([task], [task.key])
    assert found["status"] == "ok", found["reason"]
    metrics = found["metrics"]
    assert metrics["verilog_digest"] == verilog_digest(TINY)
    assert metrics["luts" if target == "ecp5" else "gates"] > 2000


def test_another_liberty_than_begun_with(tmp_path):
    path = tmp_path / "x.lib"
    path.write_text('cell (nand2) { area : 2.0; }')
    choice = AreaChoice.of("s.toml", tmp_path, liberty="x.lib")
    path.write_text('cell (nand2) { area : 3.0; }')
    with pytest.raises(UserError, match="is not the file that the sweep was begun with"):
        liberty_of(choice)


def test_another_version_is_noticed():
    task = Task("area", LEAST, area=AreaChoice("law"))
    [found] = run_tasks([task], ["0123456789abcdef"])
    assert found["status"] == "failed" and "another version of spatten-hw" in found["reason"]
