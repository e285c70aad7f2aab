"""`make nightly`: every target once, a failed one told and made again, what passed not, one page of all."""

import pytest

from spatten_hw.sim.nightly import __main__ as nightly
from spatten_hw.sim.nightly.page import duration
from spatten_hw.sim.nightly.steps import Night, results

TARGETS = ["first", "second", "third"]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "Makefile").write_text(
        "first:\n\t@echo first >> made; echo '12 passed, 1 <odd> | in 3 s'\n"
        "second:\n\t@echo second >> made; echo 'no such thing'; test -e allowed\n"
        "third:\n\t@echo third >> made; echo done\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "a.py").write_text("1\n")
    return tmp_path


def made(root) -> list[str]:
    return (root / "made").read_text().split()


def test_goes_on_where_it_was_stopped(root, capsys):
    out = root / "out"
    assert nightly.run(Night(out, root), TARGETS, again=False) == 1
    assert made(root) == TARGETS, "one that fails does not stop the others"
    markdown, html = (out / "index.md").read_text(), (out / "index.html").read_text()
    assert "| `make first` | passed |" in markdown and "1 <odd> \\| in 3 s" in markdown
    assert "| `make second` | FAILED (exit 2) |" in markdown and "1 &lt;odd&gt; |" in html
    assert (out / "third.log").read_text() == "done\n"
    (root / "allowed").touch()
    assert nightly.run(Night(out, root), TARGETS, again=False) == 0
    assert made(root) == [*TARGETS, "second"], "what has passed is not made again"
    assert "make first: passed before" in capsys.readouterr().out
    assert "FAILED" not in (out / "index.md").read_text()
    # Another source, another night.
    (root / "sim" / "a.py").write_text("2\n")
    assert Night(out, root).left(TARGETS) == TARGETS
    (out / "steps.json").write_text("half a fi")
    assert Night(out, root).left(TARGETS) == TARGETS


def test_the_page_tells_what_is_missing(root):
    night = Night(root / "out", root)
    night.make("first")
    nightly.write(night, TARGETS)
    text = (root / "out" / "index.md").read_text()
    assert "| `make third` | not run |  |" in text


def test_bad_targets(capsys, tmp_path):
    assert nightly.main(["-o", str(tmp_path / "o"), "test", "no-such"]) == 2
    error = capsys.readouterr().err
    assert error == "error: the Makefile has no target no-such; see make help\n"
    assert not (tmp_path / "o").exists()


def test_results_and_durations():
    log = "\n".join(["a", "\x1b[32m5 passed\x1b[0m in 3 s", *"b" * 40, "end"])
    assert results(log) == ["5 passed in 3 s", "end"] and results("") == []
    assert [duration(s) for s in (75, 719, 11_100)] == ["75 s", "12 min", "3 h 5 min"]
