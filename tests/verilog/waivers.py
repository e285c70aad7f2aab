"""Warnings that are known: per linter a file with a reason for every kind and an upper bound per preset.

After a change that is meant to move them: UPDATE_WAIVERS=1 pytest tests/verilog.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent


def check_warnings(linter, preset, found: Mapping[str, list[str]]):
    """`found`: kind → what was said. Fails for a kind without a reason, and for more of a kind than allowed."""
    path = FOLDER / f"waivers_{linter}.json"
    waivers = json.loads(path.read_text())
    counts = Counter({kind: len(said) for kind, said in found.items()})
    if os.environ.get("UPDATE_WAIVERS"):
        # Rounded up, so that small changes elsewhere do not touch this file.
        waivers["most"][preset] = {kind: -(-int(n * 1.1) // 10) * 10 for kind, n in sorted(counts.items())}
        path.write_text(json.dumps(waivers, indent=2) + "\n")
    unknown = sorted(set(counts) - set(waivers["reasons"]))
    assert not unknown, f"new kinds of warning from {linter}: {found[unknown[0]][0]}"
    most = waivers["most"].get(preset, {})
    above = {kind: (n, most.get(kind, 0)) for kind, n in counts.items() if n > most.get(kind, 0)}
    assert not above, f"more warnings from {linter} than waived (kind: count, most): {above}"
