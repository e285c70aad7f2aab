"""What every top-k engine looks like from outside. (`spatten_hw/engines.py` chooses one.)"""

from __future__ import annotations

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream.layouts import topk_row


class TopKEngine(wiring.Component):
    """Keeps the k elements with the largest keys of every vector.

    Ports `i`, `o`: streams of `layouts.topk_row`. In: dense rows (`lanes` elements, fewer only in the last
    row, never none), `k` ≥ 1 on a vector's first row, `tag` on every row, at most `max_n` elements. Out:
    exactly min(k, n) elements, the largest by unsigned comparison, among equal ones the first; in their
    original order, in dense rows, `tag` on every row, `k` = 0. Vectors keep their order.
    """

    i: stream.Interface
    o: stream.Interface
    #: Most vectors whose last row has entered and that have not left.
    max_vectors: int

    def __init__(self, key_bits: int, payload_bits: int, tag_bits: int, lanes: int, max_n: int):
        if min(key_bits, lanes, max_n) < 1:
            raise ValueError("key_bits, lanes and max_n must be at least 1, "
                             f"not {key_bits}, {lanes} and {max_n}")
        self.key_bits = key_bits
        self.payload_bits = payload_bits
        self.tag_bits = tag_bits
        self.lanes = lanes
        self.max_n = max_n
        self.count_bits = max_n.bit_length()
        #: Rows that the longest vector takes.
        self.max_rows = -(-max_n // lanes)
        row = topk_row(lanes, key_bits, payload_bits, tag_bits, self.count_bits)
        super().__init__({"i": In(stream.Signature(row)), "o": Out(stream.Signature(row))})

    def most_cycles(self, n: int) -> int:
        """Most cycles from one vector of up to n keys to the next, with input and output always ready."""
        raise NotImplementedError

    def cycles(self, n: int) -> int | None:
        """The same, exact, while the input never waits; None: it depends on the keys."""
        return None

    def latency(self, n: int) -> int | None:
        """Cycles from the first row of a vector of n keys to its last row at `o`, alone; None: depends on the keys."""
        return None
