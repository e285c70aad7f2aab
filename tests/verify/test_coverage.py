"""Coverage in terms of the source: what Verilator's counters become, what is listed, which jobs count."""

import dataclasses
import os
import subprocess
import sys

import pytest

from spatten_hw.interface.descriptor import FIELDS
from spatten_hw.sim.harness import variant
from spatten_hw.sim.harness.kept import library_dir
from spatten_hw.sim.verify import coverage, unreached
from spatten_hw.sim.verify.bins import CROSSES, STATIC, counted
from spatten_hw.sim.verify.cover_points import Design, Point, design, points_of
from spatten_hw.sim.verify.coverage_page import by_unit, missed_lines, page
from spatten_hw.sim.verify.coverage_runs import Covered

VERILOG = """module top(clk, a);
  (* src = "spatten_hw/bus/axi.py:7" *)
  input [1:0] a;
  wire \\$3 ;
  (* src = "spatten_hw/bus/axi.py:9|spatten_hw/bus/axi.py:2" *)
  always @* begin
    if (\\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
    if (a)
      b = 1;
  end
  (* src = "amaranth/lib/fifo.py:9" *)
  reg x;
endmodule
"""


def counter(line: int, page: str, name: str, count: int, column: int = 1) -> str:
    pairs = {"f": "top.v", "l": line, "n": column, "t": page, "page": f"v_{page}/top", "o": name, "h": "top.it"}
    return "C '" + "".join(f"\x01{k}\x02{v}" for k, v in pairs.items()) + f"' {count}\n"


def test_counters_become_points_of_the_source():
    data = "".join([
        counter(3, "toggle", "a[0]:0->1", 4), counter(3, "toggle", "a[0]:1->0", 0), counter(4, "toggle", "__0243", 1),
        counter(3, "toggle", "b__02efield[1]:0->1", 1), counter(3, "toggle", "b[3]:0->1", 1),
        counter(3, "toggle", "words[7][2]:0->1", 0), counter(3, "toggle", "words[6][2]:0->1", 1),
        counter(7, "branch", "if", 0), counter(8, "branch", "if", 3), counter(8, "branch", "else", 0, 2),
        counter(12, "toggle", "x:0->1", 0)])
    file = "spatten_hw/bus/axi.py"
    points = {}
    for point, covered in points_of(data, Design(VERILOG)):
        points[point] = covered or points.get(point, False)
    assert points == {
        Point("toggle", file, 7, "a", "0:0->1"): True, Point("toggle", file, 7, "a", "0:1->0"): False,
        Point("toggle", file, 7, "b.field", "1:0->1"): True, Point("toggle", file, 7, "words", "2:0->1"): True,
        Point("line", file, 9, "if 1"): True, Point("line", file, 9, "else 1"): False}


def test_instances_and_builds_add_up():
    point, other = (Point("line", "spatten_hw/bus/axi.py", 9, name) for name in ("if 1", "else 1"))
    both = Covered.sum([Covered({point: True, other: False}, []), Covered({point: False}, [])])
    assert both.points == {point: True, other: False}
    assert Point.of(point.text) == point


def test_units_points_and_reasons(monkeypatch):
    missed = Point("toggle", "spatten_hw/bus/axi.py", 1, "name", "3:0->1")
    points = {missed: False, Point("line", "spatten_hw/bus/axi.py", 2, "if 1"): True,
              Point("line", "spatten_hw/top.py", 2, "if 1"): False}
    units = {u.name: u for u in by_unit(points)}
    assert units["bus"].toggle.percent == 0 and units["bus"].line.percent == 100 and units["other"].line.all == 1
    entries = [{"file": missed.file, "name": "na.*", "reason": "never so high"}]
    monkeypatch.setattr(unreached, "_entries", lambda: entries)
    units = {u.name: u for u in by_unit(points)}
    assert units["bus"].toggle.percent == 100 and units["bus"].toggle.excused == 1
    more = [dataclasses.replace(missed, bit=f"{n}:{edge}") for n in (5, 6) for edge in ("0->1", "1->0")]
    assert missed_lines([missed, *more]) == [(missed.file, 1, "name", "3 (0->1), 5–6", "never so high")]
    entries[0]["name"] = "na"
    assert unreached.reason(missed) == ""


def job(**fields) -> dict:
    values = {f.name: 0 for f in FIELDS} | {
        "dim": 8, "group": 1, "heads": 2, "tokens": 9, "keep_tokens": 9, "keep_heads": 2, "keep_values": 9,
        "k_msb": 6, "k_lsb": 4, "v_msb": 12, "v_lsb": 0}
    return {"build": "tiny", "job": values | fields}


def test_jobs_are_counted_by_kind():
    pruned, refused = job(generate=1, keep_tokens=3, keep_values=2), job(generate=1, causal=1)
    bins = counted([job(), job(), pruned, refused, job(k_msb=5)])
    assert bins["K",] == {("6+4",): 4}
    assert bins["stage", "mask", "pruning"] == {
        ("summarise", "none", "none"): 3, ("generate", "none", "tokens values"): 1}
    assert all((f"{m}+{n}",) in CROSSES["V",] for m, n in STATIC)


def test_the_page_loads_nothing_and_escapes():
    point = Point("toggle", "spatten_hw/bus/axi.py", 1, "<b>", "0")
    html = page(Covered({point: False}, [job()]), ["tests/<x>.py"], "abc")
    assert "&lt;b&gt;" in html and "<b>" not in html and "tests/<x>.py" not in html
    assert "default-src 'none'" in html and "http" not in html.replace("http-equiv", "")


@pytest.mark.parametrize("arguments, what", [
    (["--unit", "x"], "no such unit"), (["tests/none/test_none.py"], "there is no such file")])
def test_bad_input_is_one_line(arguments, what, capsys):
    assert coverage.main(arguments) == 2
    error = capsys.readouterr().err
    assert what in error and error.count("\n") == 1


def test_a_block_is_counted_from_an_empty_build_folder(tmp_path, monkeypatch):
    """What its compilation shares with others lies elsewhere than that of ordinary simulations."""
    counts = tmp_path / "counts"
    counts.mkdir()
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv(variant.COVERAGE, str(counts))
    program = ("from spatten_hw.sim.harness.block import Block; from spatten_hw.stream.skid import HalfBuffer\n"
               "block = Block(HalfBuffer, 5); block.send('i', [1, 2, 3]); block.receive('o'); block.run(20, o=3)")
    # They are written as the process ends.
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120,
                   env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    found = [*counts.glob("*.dat")]
    assert found
    of = design(library_dir() / f"coverage-{found[0].name.split('-')[0]}.v")
    assert any(covered for _, covered in points_of(found[0].read_text(), of))
