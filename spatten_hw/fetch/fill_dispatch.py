"""Fills of the SRAMs: which of two ways each takes, and the reports of their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import connect, flipped

from ..config import clog2
from ..contract import contract
from ..primitives.widths import narrow, wrap
from ..stream.read_layouts import key_note, value_note
from .key_walk import KeyWalk
from .local_fills import LocalFills
from .shared import SharedFetch

if TYPE_CHECKING:
    from .fetcher import Fetcher


def dispatch_fills(m: Module, fetcher: Fetcher, keys: KeyWalk, shared: SharedFetch) -> dict[str, LocalFills]:
    """A fill of a job whose tokens all survive is a walk over the rows of all slices at once, else one over the
    list, a row per cycle through the shared path. One slice has no use for the former: the same row per cycle.
    A walk waits while its half of the class is being filled: V's LSBs may be asked for before its MSBs are in.

    Returns what the slices' own channels fill, "k" and "v" → `LocalFills`; nothing for one slice."""
    c = fetcher.config
    walk, fill = keys.cmd, fetcher.fill.payload
    m.d.comb += shared.chunks.ready.eq(1)
    if c.slices == 1:
        connect(m, flipped(fetcher.k_walk), walk)
        connect(m, flipped(fetcher.fill), shared.fill)
        m.d.comb += [shared.filled.ready.eq(1), fetcher.filled.valid.eq(shared.filled.valid),
                     fetcher.filled.payload.eq(shared.filled.payload)]
        contract(m, ~fetcher.k_walk.payload.fill & ~fetcher.k_walk.payload.value, "a walk of K rows fills nothing",
                 when=fetcher.k_walk.valid)
        return {}
    m.submodules.k_fills = k_fills = LocalFills(c, key_note(c), False)
    m.submodules.v_fills = v_fills = LocalFills(c, value_note(c), True)
    dense = fill.dense
    filling = Mux(fill.value, v_fills.pending, k_fills.pending).bit_select(fill.half, 1)
    ready = dense & ~filling                             # to become a walk
    local = fetcher.fill.valid & ready & ~fetcher.k_walk.valid
    m.d.comb += [
        walk.valid.eq(fetcher.k_walk.valid | (fetcher.fill.valid & ready)),
        walk.payload.eq(fetcher.k_walk.payload), fetcher.k_walk.ready.eq(walk.ready),
        shared.fill.valid.eq(fetcher.fill.valid & ~dense), shared.fill.payload.eq(fill),
        fetcher.fill.ready.eq(Mux(dense, walk.ready & ~filling & ~fetcher.k_walk.valid, shared.fill.ready)),
    ]
    with m.If(~fetcher.k_walk.valid):
        m.d.comb += [
            walk.payload.kv_head.eq(fill.kv_head), walk.payload.lsb.eq(fill.lsb), walk.payload.fill.eq(1),
            walk.payload.value.eq(fill.value), walk.payload.half.eq(fill.half),
        ]
        if c.chunk_queries:         # all of its tokens, every one of which survives
            m.d.comb += [walk.payload.limit.eq(fill.rows),
                         walk.payload.final_row.eq(narrow(wrap(fill.rows - 1, c.count_bits) >> clog2(c.slices),
                                                          c.row_bits))]
    for part, of_value in ((k_fills, 0), (v_fills, 1)):
        m.d.comb += [
            part.opens.valid.eq(local & walk.ready & (fill.value == of_value)), part.opens.half.eq(fill.half),
            part.opens.lsb.eq(fill.lsb), part.opens.rows.eq(fill.rows),
            part.shared.valid.eq(shared.chunks.valid), part.shared.payload.eq(shared.chunks.payload),
        ]
    # Reports of the three in turn of priority; the shared path's are taken at once, as local ones wait.
    ends = [shared.filled, k_fills.filled, v_fills.filled]
    m.d.comb += fetcher.filled.valid.eq(Cat(end.valid for end in ends).any())
    before: Value = Const(0, 1)
    for end in ends:
        m.d.comb += end.ready.eq(~before)
        with m.If(end.valid & ~before):
            m.d.comb += fetcher.filled.payload.eq(end.payload)
        before = before | end.valid
    return {"k": k_fills, "v": v_fills}
