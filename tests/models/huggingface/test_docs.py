"""The example of `docs/huggingface.md` runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spatten_hw.cli import main

PAGE = Path(__file__).parents[3] / "docs" / "huggingface.md"


def test_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    assert "rows refetched" in capsys.readouterr().out
    names = sorted(p.name for p in Path("workloads").iterdir())
    assert names[0] == "sequence-0-prompt.npz" and "sequence-0-steps-1.npz" in names
    for name in names:
        assert main(["run", f"workloads/{name}", "--preset", "small", "--engine", "golden"]) == 0
    (command,) = re.findall(r"^    spatten-hw (run .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert command.split()[1] == "workloads/sequence-0-prompt.npz"
