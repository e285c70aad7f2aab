"""Synthetic layers for benches: random operands in memory and the passes that use them.

K and V of all passes come from pools, so that hundreds of jobs need no more memory than one; Q, outputs, survivor
lists and descriptors are each pass's own, so that passes can be queued back to back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import PLANE_WIDTHS, SpAttenConfig
from spatten_hw.host.job import LayerJob, check, descriptor_bytes
from spatten_hw.host.layout import WORD_BYTES, Arena, Plane, pack_rows, pairs_save, row_bytes
from spatten_hw.host.plan import LayerPass, Write, head_scale
from spatten_hw.host.quantise import quantise, split

#: Real value of one unit of an output integer: outputs are averages of V, whose elements are N(0, 1).
OUT_UNIT = 2.0 ** -11

Bits = tuple[int, int]


def widest(bits: int, config: SpAttenConfig) -> int:
    """`bits`, or the widest plane that the build takes."""
    return max(w for w in PLANE_WIDTHS if w <= min(bits, config.operand_bits))


@dataclass(frozen=True)
class Operand:
    """K or V of a pool: integers [heads, tokens, D] at full precision, the real value of one unit per head, and
    where its planes are."""

    codes: np.ndarray
    scales: np.ndarray
    bits: Bits
    msb: Plane
    lsb: Plane | None

    def fields(self, name: str) -> dict[str, int]:
        """Addresses, strides and widths as the job names them."""
        result = {f"{name}_msb": self.bits[0], f"{name}_lsb": self.bits[1]}
        for part, plane in ((f"{name}_msb", self.msb), (f"{name}_lsb", self.lsb)):
            if plane is not None:
                result |= {f"{part}_base": plane.base, f"{part}_head_stride": plane.head_stride,
                           f"{part}_token_stride": plane.token_stride}
        return result | {"pair": 1} if self.msb.pair else result


@dataclass(frozen=True)
class Pool:
    """K and V of some heads and tokens, rows of N(0, 1) in real units."""

    dim: int
    k: Operand
    v: Operand


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
        """(address, bytes) to put into memory before pass number `layer`."""
        yield from self._data[layer]

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None) -> None:
        """Benches load no importance."""

    def pool(self, heads: int, tokens: int, dim: int, k_bits: Bits, v_bits: Bits, *, generate: bool = False) -> Pool:
        """Fresh K and V planes. `generate`: the passes over them will be generation, which can read K's MSB rows of
        two heads at once; they lie in pairs if that saves beats."""
        pair = generate and pairs_save(self.config, heads, dim, k_bits[0])
        return Pool(dim, self._operand(heads, tokens, dim, k_bits, pair), self._operand(heads, tokens, dim, v_bits))

    def normal(self, heads: int, rows: int, dim: int) -> np.ndarray:
        """N(0, 1) of [heads, rows, dim], fresh at every call. The last heads are the same however many there are, so
        that plans of different numbers of heads end alike."""
        return self.random.spawn(1)[0].normal(size=(heads, rows, dim))[::-1]

    def _operand(self, heads: int, tokens: int, dim: int, bits: Bits, pair: bool = False) -> Operand:
        """`pair`: of the MSB plane."""
        codes, scales = quantise(self.normal(heads, tokens, dim), sum(bits))
        planes: list[Plane | None] = []
        for part, width in zip(split(codes, bits[1]), bits, strict=True):
            if not width:
                planes.append(None)
                continue
            plane = self.arena.plane(heads, tokens, row_bytes(dim, width), pair=pair and not planes)
            self._next.append((plane.base, plane.image(pack_rows(part, width))))
            planes.append(plane)
        msb, lsb = planes
        assert msb is not None
        return Operand(codes, scales, bits, msb, lsb)

    def add(self, pool: Pool, q: np.ndarray, q_scales: np.ndarray, q_bits: int, tokens: int, *,
            ids: np.ndarray | None = None, resume: bool = False, label: str = "", **options: int) -> None:
        """One job over the first heads and `tokens` tokens of a pool.

        `q`: integers [heads, rows, D], rows = 1 in generation, else `tokens`; `ids`: tokens alive (default: all);
        `resume`: they are those of the job before, with the same heads, so nothing is loaded. `options`: further fields
        of the job. It stores no state.
        """
        heads, rows, dim = q.shape
        data, self._next = self._next, []
        plane = self.arena.plane(heads, rows, row_bytes(dim, q_bits))
        data.append((plane.base, plane.image(pack_rows(q, q_bits))))
        out = self.arena.out_plane(heads, rows, dim)
        words, state = None, {"restart": 1}
        if resume:
            state = {}
        elif ids is not None:
            words = np.concatenate([[len(ids) | heads << 32], ids, np.arange(heads)]).astype(np.uint64)
            state = {"load_ids": 1, "ids_in": self.arena.alloc(WORD_BYTES * (1 + tokens + heads))}
        scales = tuple(head_scale(float(q_scales[h]), float(pool.k.scales[h]), float(pool.v.scales[h]), dim, OUT_UNIT)
                       for h in range(heads))
        job = LayerJob(
            dim=dim, tokens=tokens, heads=heads, scales=scales, q_bits=q_bits, q_base=plane.base,
            q_head_stride=plane.head_stride, q_token_stride=plane.token_stride, out_base=out.base,
            out_head_stride=out.head_stride, out_token_stride=out.token_stride,
            **pool.k.fields("k"), **pool.v.fields("v"), **state, **options)
        descriptor = self.arena.alloc(descriptor_bytes(heads))
        check(job, self.config, descriptor)
        number = len(self.passes)
        self.passes.append(LayerPass(
            0, number, job, descriptor, out, q, pool.k.codes[:heads, :tokens], pool.v.codes[:heads, :tokens],
            ids=words, label=label or f"job {number}"))
        self._data.append(data)
