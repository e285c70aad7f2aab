"""The examples of docs/sweep.md, as the page calls them."""

import re
from pathlib import Path

import pytest

from spatten_hw.cli import main

from .test_command import table

pytest.importorskip("pyarrow", reason="pip install 'spatten-hw[sweep]'")
pytest.importorskip("matplotlib", reason="pip install 'spatten-hw[sweep]'")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(page):
    """The commands of the docs' page."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(r"^ {4}(?:\.venv/bin/)?spatten-hw (sweep [^#\n]*)", text, re.MULTILINE)


def test_the_example_of_the_docs(folder, capsys):
    """1,000 points by the model (half a minute on two idle cores; how long it takes here is not asserted)."""
    assert any("examples/sweep.toml" in command for command in shell("sweep.md"))
    assert main(["sweep", str(ROOT / "examples/sweep.toml"), "-o", "out", "--workers", "2"]) == 0
    assert "sweep: 1,000 points, " in capsys.readouterr().out
    rows = table(folder / "out/table.csv")
    good = [row for row in rows if row["status"] == "ok"]
    assert len(rows) == 1000 and len(good) > 700 and all(row["model_us"] and row["area_luts"] for row in good)


@pytest.mark.nightly
def test_the_example_on_rtl(folder, capsys):
    """Every point of two builds equals the golden model, and the model's bytes are those of the hardware."""
    assert any("examples/sweep-rtl.toml" in command for command in shell("sweep.md"))
    assert main(["sweep", str(ROOT / "examples/sweep-rtl.toml"), "-o", "out", "--workers", "2"]) == 0
    rows = table(folder / "out/table.csv")
    assert len(rows) == 24 and all(row["rtl_equal"] == "true" and row["verilog_digest"] for row in rows)
    assert len({row["verilog_digest"] for row in rows}) == 2
    for row in rows:
        assert float(row["model_bytes"]) == float(row["rtl_bytes"])
        assert float(row["model_cycles"]) == pytest.approx(float(row["rtl_cycles"]), rel=0.1)
        assert (float(row["rtl_dram_nj"]) > 0) if row["memory"] != "perfect" else row["rtl_dram_nj"] == ""


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_example_of_many_builds(folder, capsys):
    """18 builds, and two configurations that are refused: their top-k engine is narrower than a row's slices."""
    assert any("examples/sweep-builds.toml" in command for command in shell("sweep.md"))
    assert main(["sweep", str(ROOT / "examples/sweep-builds.toml"), "-o", "out", "--workers", "2"]) == 0
    assert "40 points, 36 ok, 4 refused, 0 failed" in capsys.readouterr().out
    good = [row for row in table(folder / "out/table.csv") if row["status"] == "ok"]
    assert len({row["verilog_digest"] for row in good}) == 18 and all(row["rtl_equal"] == "true" for row in good)
    assert all(float(row["model_bytes"]) == float(row["rtl_bytes"]) for row in good)
