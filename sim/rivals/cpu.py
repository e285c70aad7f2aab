"""The CPU at hand, measured live: attention of a layer in PyTorch, float32, K and V in its memory."""

from __future__ import annotations

import functools
import platform
import time

import numpy as np

from spatten_hw.errors import UserError

from .dense import dense_bytes
from .layers import FLOAT_BITS, Layers
from .rival import Cost, Machine

#: Seconds that a shape is measured for, at least one call.
SECONDS = 0.2


def describe() -> str:
    """Processor, threads and version, as a table needs them."""
    torch = _torch()
    return f"{_processor()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"


class CPU:
    """Whatever this runs on. The machine's multipliers and bandwidth are not asked; its clock turns seconds to
    cycles."""

    name = "cpu"
    title = "this CPU"
    source = "measured here (PyTorch)"
    assumptions = ("float32, dense; each shape by itself, operands ready in memory; the median of the calls that fit "
                   "into 0.2 s.", "No two machines are alike: the figure is not the paper's Xeon.")

    def cost(self, layers: Layers, machine: Machine) -> Cost:
        """Seconds of each different shape, measured once."""
        d = layers.dense()
        shapes = np.stack([d.generate, d.causal, d.context, d.heads * d.group, d.dim]).T
        found, place = np.unique(shapes, axis=0, return_inverse=True)
        seconds = np.array([_seconds(*(int(v) for v in shape)) for shape in found])[place.reshape(-1)]
        return Cost(seconds * machine.clock_ghz * 1e9, dense_bytes(layers, FLOAT_BITS), d.operations)


@functools.cache
def _seconds(generate: int, causal: int, keys: int, heads: int, dim: int) -> float:
    torch = _torch()
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, heads, n, dim, generator=generator) for n in (1 if generate else keys, keys, keys))
    attention = torch.nn.functional.scaled_dot_product_attention
    taken: list[float] = []
    with torch.inference_mode():
        attention(q, k, v, is_causal=bool(causal))
        while sum(taken) < SECONDS:
            start = time.perf_counter()
            attention(q, k, v, is_causal=bool(causal and not generate))
            taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def _torch():
    try:
        import torch
    except ImportError as error:
        raise UserError("rival 'cpu': needs the package torch; install with: pip install 'spatten-hw[train]', or leave "
                        "it out") from error
    return torch


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
