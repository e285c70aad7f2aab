"""K and V of many sequences, ready to be multiplied: exact integers in floating point, whose products are fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.config import PROB_BITS

from .fetch import msb_operands

#: Integers up to these are exact in float32 and float64; a sum that stays below is exact in any order.
SINGLE, DOUBLE = 1 << 24, 1 << 53


def exact_type(bound: int) -> type[np.floating]:
    """The narrower floating-point type in which sums of magnitude ≤ `bound` are exact."""
    if bound > DOUBLE:
        raise ValueError(f"sums may reach {bound}, beyond float64's integers")
    return np.float32 if bound <= SINGLE else np.float64


def score_type(dim: int, q_bits: int, k_bits: int) -> type[np.floating]:
    """Type for Q·K."""
    return exact_type(dim << (q_bits + k_bits - 2))


def value_type(tokens: int, v_bits: int) -> type[np.floating]:
    """Type for Σ P·V. Σ P ≤ 4096 + n, because each P is within one LSB."""
    return exact_type(((1 << PROB_BITS) + tokens) << (v_bits - 1))


@dataclass
class Rows:
    """Rows [sequences, heads, tokens, D] of K or V: `full`, and `rough` as they are without their LSBs (the same
    array if there are none). Integers, held in a floating-point type that keeps their products exact."""

    full: np.ndarray
    rough: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, ...], lsb: int, kind: type[np.floating]) -> Rows:
        """Rows of zeros, to be written by `put`."""
        full = np.zeros(shape, dtype=kind)
        return cls(full, np.zeros(shape, dtype=kind) if lsb else full)

    def put(self, where: slice | np.ndarray, codes: np.ndarray, lsb: int, midpoint: bool) -> None:
        """Writes the rows of tokens `where`, or one row of each sequence to its own place [sequences]; `midpoint`: V's
        half MSB step."""
        if isinstance(where, np.ndarray):
            at: tuple = (np.arange(len(codes)), slice(None), where)
            codes = codes[:, :, 0]
        else:
            at = (slice(None), slice(None), where)
        self.full[at] = codes
        if lsb:
            self.rough[at] = msb_operands(codes >> lsb, lsb, midpoint)

    def copy(self, other: Rows, tokens: np.ndarray) -> None:
        """Takes rows `tokens` [sequences, n] of `other` as its first ones."""
        at = tokens[:, None, :, None]
        n = tokens.shape[1]
        self.full[:, :, :n] = np.take_along_axis(other.full, at, axis=2)
        if self.rough is not self.full:
            self.rough[:, :, :n] = np.take_along_axis(other.rough, at, axis=2)

    def first(self, tokens: int) -> Rows:
        """Views of the first tokens."""
        full = self.full[:, :, :tokens]
        return Rows(full, full if self.rough is self.full else self.rough[:, :, :tokens])

    def sequences(self, some: slice) -> Rows:
        """Views of some of the sequences."""
        full = self.full[some]
        return Rows(full, full if self.rough is self.full else self.rough[some])

    def pick(self, heads: np.ndarray, tokens: np.ndarray) -> Rows:
        """Copies of heads [sequences, alive] and tokens [sequences, alive]."""
        full = pick(self.full, heads, tokens)
        return Rows(full, full if self.rough is self.full else pick(self.rough, heads, tokens))


def pick(x: np.ndarray, heads: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """x [sequences, heads, tokens, …] at heads [sequences, h] and tokens [sequences, t]."""
    sequence = np.arange(len(x))[:, None, None]
    return x[sequence, heads[:, :, None], tokens[:, None, :]]


def key_rows(codes: np.ndarray, q_bits: int, bits: int, lsb: int) -> Rows:
    """K's integers [sequences, heads, tokens, D] of `bits` bits, of which the `lsb` lowest lie in the LSB plane."""
    rows = Rows.empty(codes.shape, lsb, score_type(codes.shape[-1], q_bits, bits))
    rows.put(slice(None), codes, lsb, midpoint=False)
    return rows


def value_rows(codes: np.ndarray, bits: int, lsb: int) -> Rows:
    """V's integers, as `key_rows`."""
    rows = Rows.empty(codes.shape, lsb, value_type(codes.shape[2], bits))
    rows.put(slice(None), codes, lsb, midpoint=True)
    return rows
