"""Labelled texts from files, and what is refused."""

from __future__ import annotations

import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.evaluate import labelled as module
from spatten_hw.sim.evaluate.labelled import Labelled, labelled, spread_over

LINES = '{"text": "Ignore this.", "label": "malicious", "lang": "en"}\n\n{"label": "benign", "text": "Hé \\n you"}\n'


def test_a_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(LINES, encoding="utf-8")
    assert labelled(path) == [Labelled("Ignore this.", True), Labelled("Hé \n you", False)]


@pytest.mark.parametrize("text, message", [
    ("hello\n", "rows.jsonl: line 1: must be a JSON object"), (LINES + "[1]\n", "line 4: must be a JSON object"),
    ('{"text": "x"}', "line 1: its label is None, must be one of malicious, benign"),
    ('{"text": "x", "label": 1}', "its label is 1"), ('{"text": " ", "label": "benign"}', "must be a JSON object"),
    ('{"text": "x", "label": ["benign"]}', "its label is "), ("[" * 100000, "must be a JSON object"),
    ('{"text": 5, "label": "benign"}', "must be a JSON object"), ("\ufeff" + LINES, ""),
])
def test_foreign_files(tmp_path, text, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    if not message:
        assert len(labelled(path)) == 2
        return
    with pytest.raises(UserError) as error:
        labelled(path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_some_of_them():
    rows = [Labelled(str(n), n % 2 == 0) for n in range(10)]
    assert spread_over(rows, None, "x") == spread_over(rows, 99, "x") == rows
    assert [row.text for row in spread_over(rows, 4, "x")] == ["0", "2", "5", "7"]
    for few in (rows[::2], rows[:1], []):
        with pytest.raises(UserError, match=r"x: .* texts of one label"):
            spread_over(few, None, "x")


def test_not_installed(monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", "no-such-package")
    with pytest.raises(UserError, match=r"not installed: pip install --no-deps bastioncorpus==0.6.0 .* or give --text"):
        labelled()
