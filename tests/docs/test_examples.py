"""The scripts of `examples/`, run from another folder as a user would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAYS = {"generate.py": "spatten.v", "simulate.py": "bit exact: True", "drive.py": "job 1: error 0",
        "hugging_face.py": "44 tokens"}


def test_all_are_here():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_example(name, tmp_path):
    if name == "hugging_face.py":
        pytest.importorskip("transformers")
    done = subprocess.run([sys.executable, ROOT / "examples" / name, *(["out"] if name == "generate.py" else [])],
                          cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
                          timeout=500, check=False)
    assert done.returncode == 0 and SAYS[name] in done.stdout, done.stdout + done.stderr
