"""The contract of a top-k engine, stated at its ports: what it may be given, and what comes out."""

from __future__ import annotations

from amaranth import Module, Mux, Signal

from ..contract import always_taken, contract, contracts_on, full_rows, stream_contract
from ..stream.fifo import StreamFifo
from .interface import TopKEngine


def engine_contracts(m: Module, engine: TopKEngine) -> None:
    """Adds the contracts of `TopKEngine` to `m`, the body of `engine`; tests compare the selection itself with the
    golden model."""
    if not contracts_on():
        return
    m.submodules.expected = expected = StreamFifo(engine.count_bits, engine.max_vectors)
    begun, ended, leaving = Signal(), Signal(), Signal()
    n, out = Signal(engine.count_bits + 1), Signal(engine.count_bits + 1)
    k = Signal(engine.count_bits)
    keep = Signal(engine.count_bits)
    row, kept = engine.i.p, engine.o.p
    total, out_total = Signal.like(n), Signal.like(out)
    comes, leaves = engine.i.valid & engine.i.ready, engine.o.valid & engine.o.ready
    m.d.comb += [
        total.eq(Mux(begun, n, 0) + row.count), out_total.eq(Mux(leaving, out, 0) + kept.count),
        keep.eq(Mux(begun, k, row.k)), ended.eq(comes & row.last),
        expected.i.valid.eq(ended), expected.i.payload.eq(Mux(keep < total, keep, total)),
        expected.o.ready.eq(leaves & kept.last),
    ]
    with m.If(comes):
        m.d.sync += [begun.eq(~row.last), n.eq(total), k.eq(keep)]
    with m.If(leaves):
        m.d.sync += [leaving.eq(~kept.last), out.eq(out_total)]
    stream_contract(m, engine.i, "vectors")
    stream_contract(m, engine.o, "kept")
    contract(m, full_rows(row.count, row.last, engine.lanes), "rows of a vector are full but for the last",
             when=engine.i.valid)
    contract(m, total <= engine.max_n, "no vector is longer than max_n", when=comes)
    contract(m, keep != 0, "k is at least 1", when=comes)
    always_taken(m, expected.i, "no more vectors are inside than max_vectors")
    contract(m, full_rows(kept.count, kept.last, engine.lanes), "kept rows are full but for the last",
             when=engine.o.valid)
    contract(m, expected.o.valid & (out_total == expected.o.payload), "exactly min(k, n) elements are kept",
             when=leaves & kept.last)
    contract(m, kept.k == 0, "k is 0 on the way out", when=engine.o.valid)
