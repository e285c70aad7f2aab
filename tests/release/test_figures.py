"""Tables of the docs: filled from reports, held against the digest of the Verilog and against their own targets."""

import json

import pytest

from spatten_hw.digest import DIGITS, digest_of
from spatten_hw.sim.release import __main__ as command
from spatten_hw.sim.release import benches, pages
from spatten_hw.sim.release.benches import PLAN, Run, measure, result_of, runs
from spatten_hw.sim.release.blocks import blocks, render, replace
from spatten_hw.sim.release.tables import KINDS

EMPTY = "before\n<!-- figures: full/attention -->\n<!-- end of figures -->\nafter\n"
NOW = "0123456789ab"
CASE = {"name": "a", "shape": "n=1", "queries": 4, "cycles": 110, "cycles_per_query": 27.5, "ratio": 1.1,
        "bound": {"limit": 100, "binds": "bytes"}, "parts": [],
        "target": {"figure": "ratio", "limit": 1.05, "text": "≤ 1.05 × roof", "reached": 1.1, "met": False}}


@pytest.fixture
def digest(monkeypatch):
    monkeypatch.setattr(benches, "verilog_digest", lambda _: NOW)
    monkeypatch.setattr(pages, "verilog_digest", lambda _: NOW)


def written(tmp_path, digest=NOW, **case):
    """A page with one table, filled from a report of `digest`."""
    page, run = tmp_path / "page.md", Run("full", "attention", "attention")
    page.write_text(EMPTY)
    path = result_of(run, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"verilog_digest": digest, "cases": [CASE | case]}))
    pages.write([page], [run], tmp_path)
    return page


def test_a_table_is_written_between_its_comments(tmp_path, digest):
    page = written(tmp_path)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    [block] = blocks(text)
    assert (block.name, block.digest, block.preset) == ("full/attention", NOW, "full")
    assert block.rows[0][-3:] == ("≤ 1.05 × roof", "**1.100**", "**no**")
    assert not list(pages.faults(page))
    # Written again, nothing moves.
    assert replace(text, "full/attention", text.split("-->\n", 1)[1].split("<!--")[0]) == text


def test_a_report_of_other_verilog_fills_nothing(tmp_path, digest):
    assert "|" not in written(tmp_path, "f" * DIGITS).read_text()


@pytest.mark.parametrize(("old", "new", "fault"), [
    (NOW, "f" * DIGITS, f"is {NOW} now"), ("**no**", "yes", "is marked yes"), ("**1.100**", "1.100", "in bold"),
    ("**1.100**", "**1.000**", "is marked"), ("of `full`", "of `fool`", "no preset")])
def test_what_does_not_hold_is_a_fault(tmp_path, digest, old, new, fault):
    page = written(tmp_path)
    page.write_text(page.read_text().replace(old, new))
    assert [f for f in pages.faults(page) if fault in f]


def test_a_table_never_measured_is_a_fault(tmp_path, digest):
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    assert "never been measured" in next(pages.faults(page))


def test_a_digest_in_running_text_is_looked_at(tmp_path, digest):
    page = tmp_path / "page.md"
    page.write_text("Verilog ffffffffffff of `small`, synthesised")
    assert len(list(pages.faults(page))) == 1


def test_a_digest_of_an_example_is_looked_at(tmp_path, digest):
    """`examples/long.toml` by its name; an example that is no build has no digest."""
    page = tmp_path / "page.md"
    page.write_text(f"Verilog {NOW} of `long`, simulated")
    assert list(pages.faults(page)) == []
    page.write_text("Verilog ffffffffffff of `long`, simulated")
    assert [f for f in pages.faults(page) if f"`long`, which is {NOW} now" in f]
    page.write_text("Verilog ffffffffffff of `long-full`, simulated")
    assert [f for f in pages.faults(page) if f"`long-full`, which is {NOW} now" in f]
    long = pages.example("long")
    assert long is not None and (long.max_tokens, long.chunk_queries) == (8192, 1)


def test_every_table_of_the_pages_has_a_bench(tmp_path):
    """And a figure that nobody shows is no reason to measure."""
    shown = {b.name for page in command.pages() for b in blocks(page.read_text(encoding="utf-8"))}
    made = {name for run in runs(list(PLAN), tmp_path) for name in run.tables}
    assert shown <= made and {name.split("/")[1] for name in made} == set(KINDS)


def test_what_is_measured_is_not_measured_again(tmp_path, digest, monkeypatch):
    called = []

    def fake(arguments, check):
        called.append(arguments)
        path = arguments[-1]
        with open(path, "w") as file:
            json.dump({"verilog_digest": NOW, "cases": []}, file)
        return type("Done", (), {"returncode": "units" in arguments})

    monkeypatch.setattr(benches.subprocess, "run", fake)
    wanted = list(runs(["small"], None))
    failed = measure(wanted, tmp_path, lambda _: None)
    assert [run.bench for run in failed] == ["units"] and len(called) == len(wanted) == 2
    measure(wanted, tmp_path, lambda _: None)
    assert len(called) == 2


def test_a_workload_that_is_not_there(capsys):
    assert command.main(["bench", "--workload", "nowhere.csv"]) == 2
    assert "nowhere.csv: there is no such file" in capsys.readouterr().err


def test_rendering_gives_what_reading_finds():
    text = f"<!-- figures: x/units -->\n{render(['a', 'b'], [['1', '2']], NOW, 'x', 'do it')}<!-- end of figures -->\n"
    [block] = blocks(text)
    assert (block.header, block.rows, block.command) == (("a", "b"), (("1", "2"),), "do it")


def test_a_digest_is_of_the_circuit_not_of_its_lines():
    text = 'module a;\n  (* src = "b.py:{0}" *)\n  wire c = ~ (* src = "b.py:{0}|d.py:1" *) d[{1}];\nendmodule\n'
    assert digest_of(text.format(1, 0)) == digest_of(text.format(2, 0)) != digest_of(text.format(1, 1))
    assert digest_of(text.format(1, 0)) == digest_of("module a;\n  wire c = ~ d[0];\nendmodule\n")
