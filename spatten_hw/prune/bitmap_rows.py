"""Words of saved bitmaps cut into rows of a bit per class, checked and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from amaranth import Array, Cat, Const, Module, Signal

from ..primitives.adder_tree import balanced_sum

if TYPE_CHECKING:
    from .state_load import StateLoad

WORD_BITS = 64


@dataclass
class BitmapRows:
    """Orders to what cuts words into rows, and what it tells: `last` row of the word, nothing on its way (`idle`), a
    token `past` the job's, how many bits there were."""

    clear: Signal
    load: Signal
    last: Signal
    idle: Signal
    past: Signal
    tokens: Signal
    heads: Signal


def cut_rows(m: Module, loader: StateLoad, of_heads: Signal) -> BitmapRows:
    """Words of a bitmap cut into rows; what they hold is counted a cycle after it is put."""
    c = loader.config
    rows_per_word = WORD_BITS // c.slices
    word = Signal(WORD_BITS, reset_less=True)
    left = Signal(range(rows_per_word + 1))
    row = Signal(range(max(2, -(-c.max_tokens // WORD_BITS) * rows_per_word + 1)))
    clear, load, last, idle, past = (Signal(name=f"rows_{name}")
                                     for name in ("clear", "load", "last", "idle", "past"))
    rows = BitmapRows(clear, load, last, idle, past, Signal(range(c.max_tokens + WORD_BITS + 1), name="rows_tokens"),
                      Signal(range(c.max_heads + WORD_BITS + 1), name="rows_heads"))
    bits = word[:c.slices]
    in_range = Signal(c.slices)
    tokens = (left != 0) & ~of_heads
    more = Signal(range(c.slices + 1), reset_less=True)
    more_tokens = Signal()
    more_heads = Signal()
    m.d.comb += [
        in_range.eq(Cat(row < loader.below[b] for b in range(c.slices))), rows.last.eq(left == 1),
        loader.put.eq(bits & in_range & tokens.replicate(c.slices)), loader.put_index.eq(row[:c.row_bits]),
        rows.idle.eq(~(more_tokens | more_heads)),
    ]
    m.d.sync += [
        more.eq(balanced_sum([bits[b] for b in range(c.slices)])),
        more_tokens.eq(tokens), more_heads.eq((left != 0) & of_heads),
    ]
    with m.If(more_tokens):
        m.d.sync += rows.tokens.eq(rows.tokens + more)
    with m.If(more_heads):
        m.d.sync += rows.heads.eq(rows.heads + more)
    with m.If(tokens & (bits & ~in_range).any()):
        m.d.sync += rows.past.eq(1)
    with m.If(left != 0):
        m.d.sync += [word.eq(word >> c.slices), left.eq(left - 1), row.eq(row + 1)]
    # Heads are not as many as a word has bits: what lies past them is looked for in the word as a whole.
    parts = -(-c.max_heads // WORD_BITS)
    none = Cat(~loader.head_range, Const((1 << parts * WORD_BITS - c.max_heads) - 1, parts * WORD_BITS - c.max_heads))
    outside = Signal(WORD_BITS, reset_less=True)
    with m.If((left == rows_per_word) & of_heads & (word & outside).any()):
        m.d.sync += rows.past.eq(1)
    with m.If(rows.load):
        m.d.sync += [word.eq(loader.state_words.p.data), left.eq(rows_per_word),
                     outside.eq(Array([none[n * WORD_BITS:(n + 1) * WORD_BITS] for n in range(parts)])[
                         loader.head_word])]
    with m.If(rows.clear):
        m.d.sync += [row.eq(0), rows.past.eq(0), rows.tokens.eq(0), rows.heads.eq(0)]
    return rows
