"""In how many bits a model's Q, K and V lie in memory, and when LSBs are fetched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """Widths of Q, and of K and V as (MSB plane, LSB plane; 0: none). `threshold`: rows whose largest probability from
    K's MSBs is below it fetch LSBs, in units of 2^−12."""

    q_bits: int
    k_bits: tuple[int, int]
    v_bits: tuple[int, int]
    threshold: int = 0

    @property
    def whole(self) -> tuple[int, int, int]:
        """Bits of Q, K and V, LSBs included."""
        return self.q_bits, sum(self.k_bits), sum(self.v_bits)

    @property
    def widest(self) -> int:
        return max(self.whole)

    @property
    def planes(self) -> dict[str, int]:
        """The planes there are, by their names in the job, and their widths."""
        widths = {"q": self.q_bits, "k_msb": self.k_bits[0], "k_lsb": self.k_bits[1], "v_msb": self.v_bits[0],
                  "v_lsb": self.v_bits[1]}
        return {name: bits for name, bits in widths.items() if bits}
