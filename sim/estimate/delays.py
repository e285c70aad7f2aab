"""Delays of the machine in cycles: what the model adds to rows, beats and products.

Each is a sum of latencies of docs/architecture.md, read off recorded streams of lone layers on the three presets; the
table of measured jobs (`table.py`) holds the model to the Verilog.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig, clog2

#: PREPARE with nothing to do, and from its end to the first gang's walk beside a cycle per member.
PREPARE, START = 10, 5
#: Of the walker: per gang beside a cycle per member; from a slot, an item or a sum given back to its next use.
GANG, FREED = 3, 2
#: From a walk's command to its first address at a channel; what a walk takes beside its rows.
WALK, WALK_GAP = 13, 1
#: From the last beat of K to the last score's arrival in the softmax, beside a cycle per chunk; what is saved where
#: steps into the slice are what binds. From a query's request to its row's first step, beside memory's latency.
SCORE, STEPS_SAVED, QUERY = 35, 4, 12
#: From a query's request to its address at a channel.
READ = 8
#: From a vector's scores read to whether it is flat, to its slot given back, to the walk for its LSBs.
DECISION, LSB_WALK = 36, 3
#: Local top-k beside rows, and where it joins rows; values by mass beside three times the rows, and what a vector takes
#: of its stages beside its rows.
TOPK, JOINED, MASS, MASS_VECTOR = 16, 2, 84, 22
#: A ratio given back.
RATIO = 26
#: From a gang's first kept row to its first V address; from the last V beat to its sums leaving, beside chunks.
VALUE, PRODUCT = 16, 30
#: The requantiser beside a chunk's groups; from the last beat of output to the end of the job beside a row's beats.
OUTPUT, END = 10, 17


def tree(config: SpAttenConfig) -> int:
    """Stages of a reduction over the slices."""
    return -(-clog2(config.slices) // 2)


def probabilities(config: SpAttenConfig) -> int:
    """From a vector's scores read to its first probabilities."""
    return 40 + tree(config)


def output_group(config: SpAttenConfig) -> int:
    """Elements of an output that the requantiser takes in a cycle."""
    return max(1, min(config.chunk // 2, config.axi_data_bits // OUT_BITS))


def engine_rows(keys: np.ndarray, rows: np.ndarray, config: SpAttenConfig) -> np.ndarray:
    """Rows of local top-k for a vector."""
    return np.maximum(np.ceil(keys / config.topk_lanes), np.where(config.topk_lanes > config.slices, 0, rows))
