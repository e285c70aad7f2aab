"""`topk_row` payloads to and from integers, and vectors worth trying."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.sim.golden.topk import topk_indices


@dataclass(frozen=True)
class RowFormat:
    """The fields of `layouts.topk_row`, lowest first."""

    lanes: int
    key: int
    payload: int
    tag: int
    count: int

    def pack(self, keys, payloads, last, k, tag) -> int:
        word, at = 0, 0
        for values, width in ((keys, self.key), (payloads, self.payload)):
            for j, v in enumerate(values):
                word |= int(v) << (at + j * width)
            at += self.lanes * width
        for v, width in ((len(keys), self.lanes.bit_length()), (last, 1), (k, self.count), (tag, self.tag)):
            word |= int(v) << at
            at += width
        return word

    def unpack(self, word: int) -> dict:
        out, at = {}, 0
        for name, width, n in (("keys", self.key, self.lanes), ("payloads", self.payload, self.lanes),
                               ("count", self.lanes.bit_length(), 0), ("last", 1, 0),
                               ("k", self.count, 0), ("tag", self.tag, 0)):
            mask = (1 << width) - 1
            if n:
                out[name] = [(word >> (at + j * width)) & mask for j in range(n)]
            else:
                out[name] = (word >> at) & mask
            at += width * max(1, n)
        return out


def vector_rows(form: RowFormat, keys, payloads, k: int, tag: int) -> list[int]:
    """A vector as dense input rows; k is noise behind the first row."""
    noise = (1 << form.count) - 1
    return [form.pack(keys[a:a + form.lanes], payloads[a:a + form.lanes], a + form.lanes >= len(keys),
                      k if a == 0 else noise, tag) for a in range(0, len(keys), form.lanes)]


def kept(keys, payloads, k: int) -> tuple[list[int], list[int]]:
    """Keys and payloads the engine must keep."""
    index = topk_indices(np.asarray(keys, dtype=np.int64), k)
    return [int(keys[i]) for i in index], [int(payloads[i]) for i in index]


def collect(form: RowFormat, words: list[int]) -> list[tuple[list[int], list[int], int]]:
    """(keys, payloads, tag) of every output vector; asserts dense rows."""
    vectors, keys, payloads = [], [], []
    for word in words:
        row = form.unpack(word)
        assert row["count"] == form.lanes or (row["last"] and row["count"] > 0), f"row not dense: {row}"
        assert row["k"] == 0
        keys += row["keys"][:row["count"]]
        payloads += row["payloads"][:row["count"]]
        if row["last"]:
            vectors.append((keys, payloads, row["tag"]))
            keys, payloads = [], []
    assert not keys, "the final vector has no last row"
    return vectors


def shapes_of_keys(rng, n: int, bits: int) -> list[list[int]]:
    """Random, constant, sorted both ways, two-valued and extreme keys."""
    top = (1 << bits) - 1
    draw = [rng.randrange(top + 1) for _ in range(n)]
    return [draw, [top] * n, [0] * n, [rng.randrange(top + 1)] * n, sorted(draw), sorted(draw, reverse=True),
            [rng.choice((1, top)) for _ in range(n)], [min(top, int(rng.expovariate(1) * top / 50)) for _ in range(n)],
            [top if i == n - 1 else 0 for i in range(n)]]
