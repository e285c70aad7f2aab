"""Random numbers of the benches that run without cocotb: from $SEED, 1 by default; pytest shows it beside a failure."""

from __future__ import annotations

import os
import zlib

import numpy as np

SEED = int(os.environ.get("SEED", "1"))


def numbers(*what: object) -> np.random.Generator:
    """Random numbers of their own for each test: `what` names it and its parameters."""
    print(f"SEED={SEED}")
    return np.random.default_rng([SEED, zlib.crc32(repr(what).encode())])
