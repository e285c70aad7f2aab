"""Python on the pages, block after block of a page, as a reader would type it."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Blocks that compile a simulation for themselves alone.
LONG = re.compile(r"trace=Path")


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


#: All pages with Python; docs/huggingface.md has a test of its own (tests/models/huggingface/test_docs.py).
PAGES = sorted({path.name for path in (ROOT / "docs").glob("*.md") if blocks(path.name)} - {"huggingface.md"})


def run(page, found, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    for number, text in enumerate(found):
        exec(compile(text, f"{page}, block {number + 1}", "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_page(page, tmp_path, monkeypatch, capsys):
    found = [text for text in blocks(page) if not LONG.search(text)]
    q, k, v = np.random.default_rng(1).normal(size=(3, 2, 4, 16, 32))
    np.savez(tmp_path / "attention.npz", q=q, k=k, v=v)     # the reader's own
    run(page, found, tmp_path, monkeypatch)
    if page == "tutorial.md":
        said = capsys.readouterr().out
        assert "bit for bit" in said and "bit exact: True" in said and (tmp_path / "trace.json").stat().st_size > 1000


@pytest.mark.nightly
def test_waveform(tmp_path, monkeypatch):
    run("tutorial.md", blocks("tutorial.md"), tmp_path, monkeypatch)
    assert "softmax" in (tmp_path / "wave.vcd").read_text("utf-8")[:2_000_000]


def test_pages_are_found():
    assert {"start.md", "tutorial.md", "extend.md", "workloads.md", "report.md"} <= set(PAGES)
