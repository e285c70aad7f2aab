"""Ports and hierarchy of a generated text, short enough to be read in a change: what counts is named once.

A snapshot that is meant to change: UPDATE_SNAPSHOTS=1 pytest tests/verilog.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path

from spatten_hw.hierarchy import modules

FOLDER = Path(__file__).with_name("snapshots")
#: Levels of the hierarchy below the top that are kept.
LEVELS = 4


def snapshot(verilog, top="spatten"):
    """{"ports": "direction bits name" …, "hierarchy": indented "instance: module" …}; numbers in names that differ
    only in them become *, with how many there are."""
    found = modules(verilog)
    ports = Counter(f"{direction} {bits} {re.sub(r'^m_axi_[0-9]+', 'm_axi_*', name)}"
                    for name, (direction, bits) in found[top].ports.items())
    return {"ports": [_times(*p) for p in sorted(ports.items())],
            "hierarchy": _below(found, [top], 0)}


def check_snapshot(name, verilog):
    """Compares with the file of that name, or writes it if UPDATE_SNAPSHOTS is set."""
    path = FOLDER / f"{name}.json"
    now = snapshot(verilog)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps(now, indent=1) + "\n")
    was = json.loads(path.read_text())
    for key, lines in was.items():
        new = [line for line in now[key] if line not in lines]
        gone = [line for line in lines if line not in now[key]]
        assert now[key] == lines, f"{key} of '{name}': new {new[:5]}, gone {gone[:5]} (UPDATE_SNAPSHOTS=1 if meant)"


def _below(found, level, depth):
    if depth > LEVELS:
        return []
    inside = Counter(
        (re.sub(r"\d+", "*", instance), module)
        for parent in level for instance, module in found[parent].instances.items())
    out = []
    for (instance, module), times in sorted(inside.items()):
        out.append(_times(" " * depth + f"{instance}: {module}", times))
        out += _below(found, [module], depth + 1)
    return out


def _times(line, times):
    return f"{line} x{times}" if times > 1 else line
