"""Points on the simulated Verilog: equal to the golden model, beside the model; one that differs is a failure."""

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.sweep import rtl, task
from spatten_hw.sim.sweep.results import Results
from tests.integration.builds import QUAD

from .test_command import table

pytest.importorskip("pyarrow", reason="pip install 'spatten-hw[sweep]'")

FIELDS = "\n".join(f"{name} = {value!r}" for name, value in QUAD.fields.items() if name != "name")
TEXT = f"""\
measure = ["model", "rtl"]
[config]
{FIELDS}
[[workload]]
tokens = 40
heads = 8
group = [1, 2]
[[workload]]
tokens = 24
heads = 4
generate = false
causal = true
[policy]
bits = ["6+4"]
keep = [0.25, 1.0]
flat = [0.0, 0.5]
[memory]
name = ["perfect", "ddr3"]
clock = 2.0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(TEXT)
    return tmp_path


def test_points(folder):
    """A prompt of which some queries are flat has no random operands: refused by the simulation, not by the model."""
    assert main(["sweep", "s.toml", "-o", "out", "--workers", "2", "--no-plots"]) == 0
    rows = table(folder / "out/table.csv")
    refused = [row for row in rows if row["status"] == "refused"]
    assert len(rows) == 24 and len(refused) == 4
    assert all(row["reason"].startswith("rtl: flat = 0.5: random prompts") and row["model_cycles"] for row in refused)
    good = [row for row in rows if row["status"] == "ok"]
    assert {row["rtl_equal"] for row in good} == {"true"} and len({row["verilog_digest"] for row in good}) == 1
    for row in good:
        assert float(row["rtl_us"]) == pytest.approx(float(row["rtl_cycles"]) * 0.002)
        # Rows of K's MSBs are read whatever the operands are. So is all that is not chosen by flat queries or groups.
        assert float(row["model_bytes_k_msb"]) == float(row["rtl_bytes_k_msb"])
        if row["group"] == "1" and row["flat"] == "0.0":
            assert float(row["model_bytes"]) == float(row["rtl_bytes"])
        assert float(row["rtl_cycles"]) > float(row["rtl_bound_cycles"])
        assert (row["rtl_dram_nj"] == "") == (row["memory"] == "perfect")
        if row["generate"] == "true" and row["flat"] == "0.5":
            assert float(row["rtl_bytes_k_lsb"]) > 0


def test_one_that_differs_fails(folder, monkeypatch):
    measure = rtl.measure_rtl
    monkeypatch.setattr(rtl, "measure_rtl", lambda *a: (measure(*a)[0], ["outputs of head 3"]))
    from spatten_hw.sim.commands.sweep import _points
    from spatten_hw.sim.status import Status
    from spatten_hw.sim.sweep.file import read_sweep
    from spatten_hw.sim.sweep.table import rows_of

    points = _points(read_sweep(folder / "s.toml"), Status())[:1]
    results = Results(folder / "p.jsonl")
    for one in points[0].tasks.values():
        results.put(one.key, task.run_task(one, one.key))
    [row] = rows_of(points, results)
    assert (row["status"], row["reason"]) == ("failed", "rtl: differs from the golden model: outputs of head 3")
    assert row["rtl_cycles"] and not results.settled(points[0].tasks["rtl"].key)
