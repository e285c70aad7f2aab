"""A file of requests in the authors' columns (docs/bench.md) as layers: a run of a layer is what shares iteration and
layer."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.bench.requests import RequestFile

from .benchmarks import Benchmark
from .layers import Layers, joined


def read_requests(path: Path, config: SpAttenConfig) -> Benchmark:
    """The file as a workload of generation; a dense layer is taken to have as many heads as the layer with most.
    `UserError` for a file that cannot be read."""
    file = RequestFile.read(path, config)
    runs = [list(group) for _, group in groupby(file.requests, key=lambda r: (*r.place[:2], r.shape))]
    most = max(len(run) for run in runs)
    parts = []
    for run in runs:
        s = run[0].shape
        parts.append(Layers.of(
            generate=1, context=s.tokens, model_heads=most, dim=s.dim, tokens=s.keys, heads=len(run), keep=s.values,
            q_bits=s.q_bits, k_bits=s.k_bits[0], k_lsb_bits=s.k_bits[1], v_bits=s.v_bits[0], v_lsb_bits=s.v_bits[1],
            flat=sum(r.flat for r in run) / len(run)))
    return Benchmark(file.name, joined(parts), str(path.name), {})
