"""Synthetic layers for benches: random operands in memory and the passes that use them.

K and V of all passes come from pools, so that hundreds of jobs need no more memory than one; Q, outputs, survivor
lists and descriptors are each pass's own, so that passes can be queued back to back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import PLANE_WIDTHS, SpAttenConfig
from spatten_hw.host.builder import JobBuilder, Planes
from spatten_hw.host.job import LayerJob
from spatten_hw.host.layout import Arena, Write
from spatten_hw.host.plan import LayerPass
from spatten_hw.host.quantise import quantise
from spatten_hw.host.rules import PAPER, Rules
from spatten_hw.host.shape import LayerShape, Precision
from spatten_hw.host.words import pack_survivors

#: Real value of one unit of an output integer: outputs are averages of V, whose elements are N(0, 1).
OUT_UNIT = 2.0 ** -11

Bits = tuple[int, int]


def widest(bits: int, config: SpAttenConfig) -> int:
    """`bits`, or the widest plane that the build takes."""
    return max(w for w in PLANE_WIDTHS if w <= min(bits, config.operand_bits))


@dataclass(frozen=True)
class Operand:
    """K or V of a pool: integers [heads, tokens, D] at full precision, the real value of one unit per head."""

    codes: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True)
class Pool:
    """K and V of some heads and tokens, rows of N(0, 1) in real units, and where their planes are."""

    dim: int
    k: Operand
    v: Operand
    k_bits: Bits
    v_bits: Bits
    planes: Planes


class BenchPlan:
    """Passes for `Driver.run_layers` and the golden model, in the order in which they were added."""

    def __init__(self, config: SpAttenConfig, seed: int = 1):
        self.config = config
        self.random = np.random.default_rng(seed)
        self.arena = Arena(config)
        self.passes: list[LayerPass] = []
        #: What must be in memory before each pass.
        self._data: list[list[Write]] = []
        self._next: list[Write] = []

    @property
    def jobs(self) -> list[LayerJob]:
        """Those of the passes."""
        return [p.job for p in self.passes]

    def layer_data(self, layer: int) -> Iterator[Write]:
        """What to put into memory before pass number `layer`."""
        yield from self._data[layer]

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None) -> None:
        """Benches load no importance."""

    def pool(self, heads: int, tokens: int, dim: int, k_bits: Bits, v_bits: Bits) -> Pool:
        """Fresh K and V planes."""
        builder = JobBuilder(self.config, LayerShape(dim, heads), Precision(0, k_bits, v_bits), self.arena)
        planes = builder.key_value_planes(tokens)
        k, v = (Operand(*quantise(self.normal(heads, tokens, dim), sum(bits))) for bits in (k_bits, v_bits))
        self._next += builder.images(planes, k=k.codes, v=v.codes)
        return Pool(dim, k, v, k_bits, v_bits, planes)

    def normal(self, heads: int, rows: int, dim: int) -> np.ndarray:
        """N(0, 1) of [heads, rows, dim], fresh at every call. The last heads are the same however many there are, so
        that plans of different numbers of heads end alike."""
        return self.random.spawn(1)[0].normal(size=(heads, rows, dim))[::-1]

    def add(self, pool: Pool, q: np.ndarray, q_scales: np.ndarray, q_bits: int, tokens: int, *,
            ids: np.ndarray | None = None, resume: bool = False, label: str = "", rules: Rules = PAPER,
            group: int = 1, **options: int) -> None:
        """One job over the first heads and `tokens` tokens of a pool.

        `q`: integers [heads, rows, D], rows = 1 in generation, else `tokens`; `ids`: tokens alive (default: all);
        `resume`: they are those of the job before, with the same heads, so nothing is loaded. `rules`: decision rules,
        `group`: heads of `q` to a head of the pool, `options`: further fields of the job. It stores no state.
        """
        query_heads, rows, dim = q.shape
        heads = query_heads // group
        data, self._next = self._next, []
        precision = Precision(q_bits, pool.k_bits, pool.v_bits, rules=rules)
        builder = JobBuilder(self.config, LayerShape(dim, heads, group), precision, self.arena)
        planes = {**pool.planes, "q": builder.query_plane(rows), "out": builder.out_plane(rows)}
        data += builder.images(planes, q=q)
        words, state = None, {"restart": 1}
        if resume:
            state = {}
        elif ids is not None:
            words = pack_survivors(np.isin(np.arange(tokens), ids), np.ones(heads, dtype=bool))
            state = {"load_ids": 1, "ids_in": builder.ids(tokens)}
        scales = builder.scales({"q": q_scales, "k": pool.k.scales, "v": pool.v.scales}, OUT_UNIT)
        descriptor = builder.descriptor()
        job = builder.job(planes, tokens, scales, descriptor, **state, **options)
        number = len(self.passes)
        self.passes.append(LayerPass(
            0, number, job, descriptor, planes["out"], q, pool.k.codes[:heads, :tokens], pool.v.codes[:heads, :tokens],
            ids=words, label=label or f"job {number}"))
        self._data.append(data)
