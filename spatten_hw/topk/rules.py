"""The contract of a top-k engine, stated at its ports: what it may be given, and what comes out."""

from __future__ import annotations

from amaranth import Module, Mux, Signal

from ..contract import always_taken, contract, contracts_on, stream_contract
from ..primitives.adder_tree import balanced_sum
from ..stream.fifo import StreamFifo
from .interface import TopKEngine


def engine_contracts(m: Module, engine: TopKEngine) -> None:
    """Adds the contracts of `TopKEngine` to `m`, the body of `engine`; tests compare the selection itself with the
    golden model."""
    if not contracts_on():
        return
    # k of every vector inside.
    m.submodules.expected = expected = StreamFifo(engine.count_bits, engine.max_vectors)
    begun = Signal()
    ended = Signal()
    n = Signal(engine.count_bits + 1)
    rows = Signal(range(engine.max_rows + 2))
    k = Signal(engine.count_bits)
    keep = Signal(engine.count_bits)
    row, found = engine.i.p, engine.o.p
    total = Signal.like(n)
    total_rows = Signal(range(engine.max_rows + 3))
    comes = engine.i.valid & engine.i.ready
    leaves = engine.o.valid & engine.o.ready
    m.d.comb += [
        total.eq(Mux(begun, n, 0) + balanced_sum(list(row.live))), total_rows.eq(Mux(begun, rows, 0) + 1),
        keep.eq(Mux(begun, k, row.k)), ended.eq(comes & row.last),
        expected.i.valid.eq(ended), expected.i.payload.eq(keep),
        expected.o.ready.eq(leaves),
    ]
    with m.If(comes):
        m.d.sync += [begun.eq(~row.last), n.eq(total), rows.eq(total_rows), k.eq(keep)]
    stream_contract(m, engine.i, "vectors")
    stream_contract(m, engine.o, "thresholds")
    contract(m, total <= engine.max_n, "no vector is longer than max_n", when=comes)
    contract(m, total_rows <= engine.max_rows, "no vector has more rows than max_rows", when=comes)
    contract(m, total != 0, "a vector has a live key", when=ended)
    contract(m, keep != 0, "k is at least 1", when=comes)
    always_taken(m, expected.i, "no more vectors are inside than max_vectors")
    contract(m, expected.o.valid, "a threshold is one of a vector that has come", when=engine.o.valid)
    contract(m, found.keep_equal != 0, "a key equal to the threshold is kept", when=engine.o.valid)
    contract(m, found.keep_equal <= expected.o.payload, "no more equal keys are kept than keys", when=leaves)
