"""The page in a real browser, headless: its script runs, nothing is fetched, the slider shows other steps."""

import re
import shutil
import subprocess

import pytest

from spatten_hw.sim.report.html import render

from .samples import NASTY, record, sequence

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")

#: Moves the slider of the first text to its first step, points at a word and a cell, and notes what is then seen.
PROBE = """<script>
addEventListener("load", () => {
  const see = name => {
    const state = [...document.querySelectorAll(".line[data-row='0'] span")].map(w => w.className);
    document.documentElement.dataset[name] = [document.querySelector(".step").textContent, state.join(","),
      [...document.querySelectorAll("svg.grid text.count")].map(t => t.textContent).join(",")].join(";");
  };
  see("before");
  const slider = document.querySelector(".steps input");
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
  see("after");
  const tips = [".line[data-row='1'] span", "[data-kind=tokens] g[data-row='2'] rect",
                "[data-kind=heads] g[data-row='1'] rect"].map(where => {
    document.querySelector(where).dispatchEvent(new PointerEvent("pointermove", {bubbles: true}));
    return document.getElementById("tip").textContent;
  });
  document.documentElement.dataset.tips = tips.join(";");
});
</script>"""


def dom(page, tmp_path):
    """What the browser makes of a page, after its scripts."""
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    log = tmp_path / "net.json"
    # No sandbox: tests may run as root. The rest keeps the browser from talking on its own account.
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, log.read_text(encoding="utf-8", errors="replace")


def data_of(text):
    """The data attributes of the root element."""
    return dict(re.findall(r' data-(\w+)="([^"]*)"', re.search(r"<html[^>]*>", text).group()))


def test_nasty_texts_in_a_browser(tmp_path):
    page = render(record(sequence(1, len(NASTY), texts=NASTY), sequence(2, 9, label="other")))
    text, net = dom(page, tmp_path)
    assert data_of(text) == {"script": "ready", "errors": "0"}
    assert text.count('class="w new"') + text.count('class="w gone"') > 20
    assert text.count("<rect class=\"cut\"") > 20 and text.count("<svg class=\"grid\"") == 4
    assert "example.org" not in net and "alert(1)" not in re.sub(r"<script.*?</script>|&lt;.*?&gt;", "", text,
                                                                 flags=re.S)


def test_the_slider_and_the_pointer(tmp_path):
    q = sequence(3, 8, steps=3)
    page = render(record(q)).replace("</body>", PROBE + "</body>")
    # The page's policy runs its own script alone, and the probe is not that.
    text, _ = dom(page, tmp_path)
    assert data_of(text) == {"script": "ready", "errors": "1"}
    text, _ = dom(re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", page), tmp_path)
    data = data_of(text)
    assert data["errors"] == "0"
    seen = []
    for step in (2, 0):
        layers = q.steps[step].layers
        known = 6 + step
        counts = [f"{len(x.alive)} / {known}" for x in layers] + [f"{len(x.heads_alive)} / 4" for x in layers]
        words = ["w"] * known + ["w none"] * (8 - known)
        seen.append(f"{q.steps[step].name};{','.join(words)};{','.join(counts)}")
    assert [data["before"], data["after"]] == seen
    second, third = q.steps[0].layers[1:3]
    fates = ["alive" if 0 in second.alive else "pruned", "alive" if 0 in third.alive else
             "pruned before it" if 0 in second.alive else "gone earlier", "alive" if 0 in second.heads_alive else ""]
    tips = data["tips"].replace("&quot;", '"').split(";")
    for tip, start, value in zip(tips, (f'token 0 "w0", after layer 1: {fates[0]}',
                                        f'token 0 "w0", after layer 2: {fates[1]}',
                                        f"head 0, after layer 1: {fates[2]}"),
                                 (second.importance[0], third.importance[0], second.head_importance[0]), strict=True):
        assert tip.startswith(f"{start}, importance ")
        assert float(tip.split("importance ")[1]) == pytest.approx(value, rel=1e-3)
