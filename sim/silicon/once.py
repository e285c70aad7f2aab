"""What takes long and comes out the same is kept in the build folder, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from spatten_hw.sim.harness import kept

#: To be raised when what is kept means something else.
VERSION = 2


def once(name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What `make` returns; called only if nothing is kept under `name`, which says all that decides it."""
    path = kept.build_dir() / "silicon" / f"{name}-{VERSION}.json"
    if path.exists():
        return json.loads(path.read_text())
    found = dict(make())
    path.parent.mkdir(parents=True, exist_ok=True)
    kept.write_atomically(path, json.dumps(found))
    return json.loads(json.dumps(found))
