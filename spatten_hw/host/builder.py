"""Layer jobs from shapes, widths and places: what every front end has in common.

A workload from a file, an encoder, a GPT with its cache, a Hugging Face model and the benches differ in where operands
come from and when; only this module lays out planes, makes scales and fills descriptors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from ..config import OUT_BITS, PROB_BITS, SpAttenConfig
from ..interface.descriptor import GIVE_BACK_SHIFT
from .job import HeadScale, LayerJob, check, descriptor_bytes
from .layout import Arena, Plane, Write
from .quantise import split
from .rows import nibble_align, packed_bytes, row_bytes
from .scales import out_scale, score_scale
from .shape import LayerShape, Precision
from .words import WORD_BYTES, survivor_words

#: Planes by the names that the descriptor has for them: "q", "k_msb", "k_lsb", "v_msb", "v_lsb", "out".
Planes = Mapping[str, Plane]


def head_scale(q: float, k: float, v: float, dim: int, out_unit: float, give_back: bool = False) -> HeadScale:
    """The scale-table entry of a query head: `q`, `k`, `v` are the real values of one unit of its operands,
    `out_unit` that of its output. Scores are scaled by 1/sqrt(dim). `give_back`: as such a job needs it."""
    mant, pre, post = score_scale(q * k * math.log2(math.e) / math.sqrt(dim))
    out_mant, shift = out_scale(v / ((1 << PROB_BITS) * out_unit), GIVE_BACK_SHIFT if give_back else 0)
    return HeadScale(mant, pre, post, out_mant, shift)


def dense_rows_bytes(queries: int, keys: int, dim: int, bits: int = 12) -> int:
    """Bytes of attention without pruning: `queries` rows of Q and of 16-bit outputs, `keys` rows of K and of V, over
    all heads, every row once and no beat wasted. Q, K and V have `bits` bits."""
    row, out_row = row_bytes(dim, bits), row_bytes(dim, OUT_BITS)
    return queries * (row + out_row) + 2 * keys * row


class JobBuilder:
    """Jobs of one shape in one precision, their data in `arena`."""

    def __init__(self, config: SpAttenConfig, shape: LayerShape, precision: Precision, arena: Arena):
        self.config, self.shape, self.precision, self.arena = config, shape, precision, arena

    # -- places -----------------------------------------------------------------------------------------

    def query_plane(self, rows: int, *, steps: bool = False) -> Plane:
        """A fresh plane of `rows` queries of every query head. `steps`: each is the only query of a generation job,
        which takes the plane of its `step`."""
        nbytes = packed_bytes(self.shape.dim, self.precision.q_bits, nibble_align(self.config))
        return self.arena.plane(self.shape.query_heads, rows, nbytes, steps=steps)

    def key_value_planes(self, tokens: int) -> dict[str, Plane]:
        """Fresh planes of K and V."""
        s, p = self.shape, self.precision
        return {name: self.arena.plane(s.kv_heads, tokens, packed_bytes(s.dim, bits, nibble_align(self.config)))
                for name, bits in p.planes.items() if name != "q"}

    def out_plane(self, rows: int) -> Plane:
        """A fresh plane for the outputs of `rows` queries."""
        return self.arena.out_plane(self.shape.query_heads, rows, self.shape.dim)

    def ids(self, tokens: int) -> int:
        """The address of fresh survivors: their numbers, bitmaps of tokens and heads."""
        return self.arena.alloc(WORD_BYTES * survivor_words(tokens, self.shape.kv_heads))

    def scores(self, tokens: int) -> int:
        """The address of fresh importance of tokens and heads."""
        return self.arena.alloc(WORD_BYTES * (tokens + self.shape.kv_heads))

    def descriptor(self) -> int:
        """The address of a fresh descriptor."""
        return self.arena.alloc(descriptor_bytes(self.shape.query_heads))

    # -- contents ---------------------------------------------------------------------------------------

    def images(self, planes: Planes, **codes: np.ndarray) -> Iterator[Write]:
        """The bytes of whole planes, from integers `q`, `k`, `v` [heads, rows, D]."""
        for name, values, bits in self.parts(**codes):
            yield from planes[name].images(planes[name].pack(values, bits))

    def parts(self, **codes: np.ndarray) -> Iterator[tuple[str, np.ndarray, int]]:
        """(plane's name, integers, width) of every plane of `q`, `k`, `v`."""
        for name, values in codes.items():
            if name == "q":
                yield "q", values, self.precision.q_bits
                continue
            bits = self.precision.k_bits if name == "k" else self.precision.v_bits
            for half, part, width in zip(("msb", "lsb"), split(values, bits[1]), bits, strict=True):
                if width:
                    yield f"{name}_{half}", part, width

    def scales(self, units: Mapping[str, np.ndarray], out_unit: float) -> tuple[HeadScale, ...]:
        """The scale table. `units`: the real value of one unit of "q" by query head, of "k" and "v" by K/V head (more
        entries are ignored); `out_unit`: of an output."""
        s = self.shape
        q, k, v = (units[name] for name in ("q", "k", "v"))
        back = self.precision.rules.give_back
        return tuple(head_scale(float(q[h]), float(k[h // s.group]), float(v[h // s.group]), s.dim, out_unit, back)
                     for h in range(s.query_heads))

    # -- the job ----------------------------------------------------------------------------------------

    def job(self, planes: Planes, tokens: int, scales: tuple[HeadScale, ...], descriptor: int, *,
            keep_tokens: int | None = None, keep_heads: int | None = None, keep_values: int | None = None,
            **fields: int) -> LayerJob:
        """The checked job over `tokens` tokens. None keeps all; `fields`: those that shape, widths, rules and planes do
        not give. Raises `JobRefused`."""
        keep = {"keep_tokens": keep_tokens, "keep_heads": keep_heads, "keep_values": keep_values}
        p = self.precision
        fields = (p.fields | p.rules.fields(bool(fields.get("generate"))) | fields
                  | {name: count for name, count in keep.items() if count is not None})
        for name, plane in planes.items():
            fields |= {f"{name}_base": plane.base, f"{name}_head_stride": plane.head_stride,
                       f"{name}_token_stride": plane.token_stride}
        job = LayerJob(dim=self.shape.dim, tokens=tokens, scales=scales, heads=self.shape.kv_heads,
                       group=self.shape.group, **fields)
        check(job, self.config, descriptor)
        return job
