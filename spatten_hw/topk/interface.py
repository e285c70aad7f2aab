"""What every top-k engine looks like from outside. (`spatten_hw/engines.py` chooses one.)"""

from __future__ import annotations

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream.layouts import key_row, threshold


class TopKEngine(wiring.Component):
    """Finds of every vector the threshold that keeps its k largest keys.

    `i`: rows of `lanes` keys (`layouts.key_row`); a key without a bit in `live` does not exist, and rows may be partly
    or wholly dead. Valid input: 1 to `max_n` live keys in at most `max_rows` rows, k ≥ 1 on a vector's first row. `o`:
    one `layouts.threshold` per vector, in order: exactly min(k, n) keys are above the threshold (unsigned comparison)
    or among the first `keep_equal` (1 … k) equal to it. With k ≥ n these are all keys; which threshold says so, 0 or
    the smallest key, is up to the engine.
    """

    #: Vectors' keys, `key_row`.
    i: stream.Interface
    #: Thresholds, `threshold`, one per vector.
    o: stream.Interface
    #: Most vectors whose last row has entered and whose threshold has not left.
    max_vectors: int
    #: Thresholds that may wait at `o`.
    thresholds: int
    #: Rows that a user keeps for filtering them, so that this room is never what stops the engine.
    row_depth: int

    def __init__(self, key_bits: int, lanes: int, max_n: int, max_rows: int | None = None):
        #: Rows of the longest vector: more than ⌈max_n / lanes⌉ if rows may be partly dead.
        self.max_rows = -(-max_n // max(1, lanes)) if max_rows is None else max_rows
        if min(key_bits, lanes, max_n, self.max_rows) < 1:
            raise ValueError("key_bits, lanes, max_n and max_rows must be at least 1, "
                             f"not {key_bits}, {lanes}, {max_n} and {self.max_rows}")
        self.key_bits = key_bits
        self.lanes = lanes
        self.max_n = max_n
        self.count_bits = max_n.bit_length()
        super().__init__({
            "i": In(stream.Signature(key_row(lanes, key_bits, self.count_bits))),
            "o": Out(stream.Signature(threshold(key_bits, self.count_bits))),
        })

    def rows(self, n: int) -> int:
        """Rows of a vector of n keys without dead lanes."""
        return -(-n // self.lanes)

    def most_cycles(self, n: int, rows: int | None = None) -> int:
        """Most cycles from one vector of up to n keys to the next, with input and output always ready. `rows`: how many
        rows they are in; unless given, as few as hold them. Every engine has its own: there is no bound for all."""
        # Abstract: components have a metaclass of their own, so `abc` cannot refuse an engine without it earlier.
        raise NotImplementedError(f"{type(self).__name__} does not say its most cycles")

    def cycles(self, n: int, rows: int | None = None) -> int | None:
        """The same, exact, while the input never waits; None: it depends on the keys."""
        return None

    def latency(self, n: int, rows: int | None = None) -> int | None:
        """Cycles from the first row of a vector of n keys to its threshold at `o`, alone; None: depends on the keys."""
        return None
