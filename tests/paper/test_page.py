"""The page: complete, closed in itself, its differences explained; docs/paper.md as the models have it now."""

import json
import re
from pathlib import Path

import pytest

from spatten_hw.cli import main
from spatten_hw.errors import UserError
from spatten_hw.sim.evaluate.store import Store
from spatten_hw.sim.paper import docs, html, markdown
from spatten_hw.sim.paper.evaluation import PARTS, evaluate
from spatten_hw.sim.paper.numbers import numbers
from spatten_hw.sim.paper.section import COMPUTED, MISSING, Row, Section, shown
from spatten_hw.sim.paper.sections.silicon import read
from spatten_hw.sim.paper.study import Study, means

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sections():
    return evaluate(Study(simulate=False))


def test_every_number_of_the_paper_is_on_the_page(sections):
    rows = [row.key for s in sections for row in s.rows]
    # The starting point of the build-up is the paper's own.
    assert sorted(rows) == sorted(set(numbers()) - {"breakdown.datapath"}) and len(rows) == len(set(rows))


def test_what_differs_has_a_reason(sections):
    for s in sections:
        for row in s.rows:
            assert row.near or len(row.why) > 20, row.key
            assert (row.ours is None) == (row.kind == MISSING), row.key


def test_dram_reductions_are_the_papers(sections):
    """Within 10 %, or the reason beside it; what is no input of ours is computed."""
    rows = {row.key: row for s in sections for row in s.rows}
    for key in ("reduction.dram", "reduction.tokens", "reduction.heads", "reduction.quantisation"):
        assert rows[key].near, key
    assert rows["reduction.tokens-gpt2"].kind == COMPUTED and rows["reduction.tokens-gpt2"].ratio < 1.15


def test_docs_are_what_the_models_say(sections):
    assert list(docs.faults((ROOT / "docs/paper.md").read_text("utf-8"), sections)) == []


def test_the_pages_tables_are_noticed(sections):
    page = (ROOT / "docs/paper.md").read_text("utf-8")
    assert set(re.findall(r"<!-- paper: ([\w-]+) -->", page)) == set(PARTS) - {"end-to-end", "silicon",
                                                                                          "requests"}
    wrong = page.replace("| DRAM access, all techniques | 10.0× |", "| DRAM access, all techniques | 11.0× |")
    assert wrong != page and "part reductions" in "".join(docs.faults(wrong, sections))
    old = re.sub(r"top-k engines of sources [0-9a-f]{12}", "top-k engines of sources 000000000000", page)
    assert sum("other engines" in fault for fault in docs.faults(old, sections)) == 2
    assert docs.fill(page, [s for s in sections if s.name not in docs.SIMULATED]) == page


def test_the_html_needs_nothing_else(sections):
    page = html.page(sections, "a < b", "c")
    assert "a &lt; b" in page and "<script" not in page and not re.search(r'(?:src|href)="(?!#)', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and page.count("<section") == len(sections) + 1


def test_the_command(tmp_path, capsys):
    out = tmp_path / "paper"
    code = main(["paper", "--quick", "-o", str(out), "--only", "reductions", "--only", "roofline", "--json",
                 str(tmp_path / "x.json")])
    said = capsys.readouterr()
    assert code == 0 and "| DRAM access, all techniques | 10.0× |" in said.out and "roofline" in said.err
    report = json.loads((tmp_path / "x.json").read_text())
    assert report == json.loads((out / "paper.json").read_text())
    assert [s["name"] for s in report["sections"]] == ["reductions", "roofline"]
    pytest.importorskip("matplotlib")
    assert (out / "roofline.svg").read_text().lstrip().startswith("<?xml")


def test_a_failure_leaves_nothing(tmp_path, capsys):
    (tmp_path / "w.csv").write_text("a,b\n1,2\n")
    assert main(["paper", "--quick", "-o", str(tmp_path / "deep" / "out"), "--only", "requests", "--workload",
                 str(tmp_path / "w.csv")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("spatten-hw: error: ")
    assert [p.name for p in tmp_path.iterdir()] == ["w.csv"]


def test_points_are_kept_and_taken_again(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"x": 1}

    store = tmp_path / "points.jsonl"
    for _ in range(2):
        assert Study(Store(store)).point("a", {"n": 1}, compute) == {"x": 1}
    assert Study(Store(store), simulate=False).point("a", {"n": 2}, compute) is None and len(calls) == 1
    Study(Store(store)).point("a", {"n": 2}, compute)
    assert len(calls) == 2


def silicon(**changes):
    share = {"score": 30, "prob_value": 31, "fetcher": 20, "softmax": 5, "local_topk": 3, "pruner": 1, "writer": 10}
    run = {"logic": 1.0, "logic_leakage": 0.1, "sram": 0.5, "sram_leakage": 0.05, "dram": 2.5}
    runs = [run | {"run": "prompt"}, run | {"run": "generation", "logic": 16.0}]
    return json.dumps({"preset": "full", "mm2": 12.5, "units": [{"unit": u, "share": s} for u, s in share.items()],
                       "power_w": runs} | changes)


def test_a_report_of_silicon(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(silicon())
    found = read(path)
    assert found["silicon.area"] == 12.5 and found["silicon.share-topk"] == 4
    assert found["silicon.power"] == pytest.approx(8.15)
    assert found["silicon.power-logic"] == pytest.approx((22 * 1.1 + 8 * 16.1) / 30)
    [section] = evaluate(Study(simulate=False, silicon=path), ["silicon"])
    assert all(row.ours is not None for row in section.rows)
    [speed] = evaluate(Study(simulate=False, silicon=path), ["speedup"])
    energy = {row.key: row for row in speed.rows}["energy.titan-xp"]
    assert energy.ours == pytest.approx(1193 * speed.rows[0].ratio * 8.3 / 8.15)


@pytest.mark.parametrize(("text", "says"), [
    ("[]", "is no report"), ("x", "is no report"), ('{"preset": "full"}', "is no report"),
    (silicon(preset="eighth"), "is of preset 'eighth'")])
def test_no_report_of_silicon(text, says, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        read(path)


def test_a_report_without_power(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(silicon(power_w=[]))
    [section] = evaluate(Study(simulate=False, silicon=path), ["silicon"])
    assert {row.key for row in section.rows if row.ours is None} == {f"silicon.{k}" for k in (
        "power", "power-logic", "power-sram", "power-dram")}


def test_small_things():
    assert [shown(v, u) for v, u in ((1095, "×"), (0.43, "TFLOPS"), (5.9, "%"), (None, "W"))] == [
        "1,095×", "0.43 TFLOPS", "5.90 %", "–"]
    import numpy as np
    mean = means(np.array([1.0, 4.0]))
    assert mean == pytest.approx({"arithmetic": 2.5, "geometric": 2.0, "harmonic": 1.6})
    assert not Row("reduction.dram", 8.9).near and Row("reduction.dram", 9.1).near
    text = markdown.page([Section("a", "A", "about")], "T", "S")
    assert "## A" in text and "# T" in text


@pytest.mark.parametrize(("mm2", "share"), [("NaN", "0.1"), ("1" + "0" * 400, "0.1"), ("-1", "0.1"), ("2", "Infinity")])
def test_a_report_of_no_sense_is_refused(mm2, share, tmp_path):
    units = ", ".join(f'{{"unit": "{u}", "share": {share}}}' for u in (
        "score", "prob_value", "fetcher", "softmax", "local_topk", "pruner"))
    (tmp_path / "s.json").write_text(f'{{"preset": "full", "mm2": {mm2}, "units": [{units}]}}')
    with pytest.raises(UserError, match="is no report of spatten-hw bench silicon"):
        read(tmp_path / "s.json")


@pytest.mark.parametrize(("output", "more", "says"), [
    ("file", [], "file: is not a folder"), ("taken", [], "taken/index.html: is a folder"),
    ("out", ["--json", "out/points.jsonl"], "--json out/points.jsonl: lies among the results")])
def test_results_that_could_not_be_written(output, more, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "taken/index.html").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    assert main(["paper", "--quick", "--only", "reductions", "-o", output, *more]) == 2
    said = capsys.readouterr().err.splitlines()
    assert says in said[0] and len(said) == 1 and not list((tmp_path / "out").iterdir())


def test_points_that_are_not_there(tmp_path, capsys):
    from spatten_hw.sim.paper.__main__ import main as docs_main
    assert docs_main(["write", "--points", str(tmp_path / "none")]) == 2
    assert "none: there is no such file" in capsys.readouterr().err
