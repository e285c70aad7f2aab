"""The page and the plots of a sweep: whole, quiet, and right in a real browser."""

import json
import re
import shutil
import subprocess

import pytest

from spatten_hw.sim.sweep.file import ParetoChoice
from spatten_hw.sim.sweep.fronts import fronts, pairs
from spatten_hw.sim.sweep.page import POINTS, render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NASTY = '</script><b>&"\'\u2028'

#: Chooses the upper half of an axis by dragging, colours by another, and notes what is then seen.
PROBE = """<script>
addEventListener("load", () => {
  const seen = document.documentElement.dataset, plot = document.getElementById("plot");
  seen.all = seen.chosen;
  seen.axes = [...plot.querySelectorAll("g[data-axis]")].map(g => g.dataset.axis).join(",");
  const hit = [...plot.querySelectorAll("g[data-axis]")].find(g => g.dataset.axis === "model_us").querySelector(".hit");
  const frame = plot.getBoundingClientRect(), at = y => frame.top + y * frame.height / 424;
  const send = (kind, y) => hit.dispatchEvent(new PointerEvent(kind, {clientY: at(y), pointerId: 1, bubbles: true}));
  send("pointerdown", 20); send("pointermove", 217); send("pointerup", 217);
  seen.upper = seen.chosen;
  seen.listed = [...document.querySelectorAll("#table tr td:first-child")].map(td => td.textContent).join(",");
  send("pointerdown", 217); send("pointerup", 217);
  seen.again = seen.chosen;
  plot.querySelector("g[data-axis=keep] .name").dispatchEvent(new MouseEvent("click", {bubbles: true}));
  seen.by = plot.querySelector(".by").textContent;
});
</script>"""


def row(n, **more):
    return {"point": n, "status": "ok", "reason": "", "workload": "a" if n % 2 else NASTY, "keep": n / 10,
            "bits": "6+4", "give_back": None if n == 3 else n > 4, "model_us": float(n), "area_luts": 10 - n,
            "keys": "", **more}


ROWS = [*(row(n) for n in range(1, 11)),
        row(11, status="refused", reason=f"rtl: {NASTY}", model_us=None, area_luts=None)]


def test_complete_and_quiet():
    page = render(NASTY, ROWS)
    assert page.count("</script>") == 2 and "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", page)
    assert NASTY not in page and "11 points: 10 ok, 1 refused, 0 failed" in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert [a["name"] for a in data["axes"]] == ["point", "workload", "keep", "give_back", "model_us", "area_luts"]
    assert len(data["rows"]) == 10 and data["rows"][0] == [1, "a", 0.1, False, 1.0, 9]


def test_many_points_are_thinned_out():
    page = render("many", [row(n) for n in range(1, POINTS + 101)])
    assert f"of which {POINTS:,} are shown" in page


def test_nothing_measured():
    assert "1 points: 0 ok, 1 refused, 0 failed" in render("none", ROWS[-1:])


@pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")
def test_in_a_browser(tmp_path):
    # The probe is a script of ours beside the page's own: its policy would not run it.
    page = re.sub(r"<meta http-equiv.*?>", "", render(NASTY, ROWS)).replace("</body>", PROBE + "</body>")
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900", "--dump-dom",
                           path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = dict(re.findall(r' data-(\w+)="([^"]*)"', re.search(r"<html[^>]*>", done.stdout).group()))
    assert found["errors"] == "0" and found["all"] == "10" and found["again"] == "10"
    assert found["upper"] == "5" and found["listed"] == "6,7,8,9,10" and found["by"] == "keep"
    assert {"workload", "keep", "model_us", "area_luts"} <= set(found["axes"].split(","))


@pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")
def test_its_policy_lets_it_run(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render("mine", ROWS), encoding="utf-8")
    done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()],
                          capture_output=True, text=True, timeout=120, check=True)
    assert 'data-errors="0"' in done.stdout and 'data-chosen="10"' in done.stdout


def test_fronts_compare_what_is_alike():
    rows = [row(n, memory="hbm2", workload="a" if n < 6 else "b") for n in range(1, 11)]
    rows[2]["area_luts"] = 9  # beaten by the one before it
    one, two = fronts(rows, ParetoChoice("model_us", "area_luts"))
    assert (one.name, two.name) == ("a", "b")
    assert [r["point"] for r in one.best] == [1, 2, 4, 5] and [r["point"] for r in two.best] == [6, 7, 8, 9, 10]
    [all_of_them] = fronts(rows, ParetoChoice("model_us", "area_luts", ("memory",)))
    assert all_of_them.name == "" and len(all_of_them.rows) == 10
    assert pairs(rows, ()) == [ParetoChoice("model_us", "area_luts")]


def test_figures():
    pytest.importorskip("matplotlib", reason="pip install 'spatten-hw[sweep]'")
    from spatten_hw.sim.sweep.plots import plots

    files = dict(plots(ROWS, [ParetoChoice("model_us", "area_luts"), ParetoChoice("rtl_us", "area_luts")]))
    assert set(files) == {"pareto-model_us-area_luts.svg", "pareto-model_us-area_luts.png"}
    assert b"LUTs (area)" in files["pareto-model_us-area_luts.svg"]
