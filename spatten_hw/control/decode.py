"""From descriptor words to a job: what is stored of each word, and how fields become `job_layout`."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

from ..config import SpAttenConfig, clog2
from ..interface.descriptor import GIVE_BACK_SHIFT, HEADER_WORDS, SCALE_FIELDS, STRIDE_BITS, Field, fields_of
from ..interface.errors import ErrorCode
from ..interface.validate import reserved_mask
from ..primitives.widths import narrow
from ..stream.job_layouts import job_layout

#: Fields counted in tokens, and in heads; of a value above the build's limit only that fact is needed.
TOKEN_FIELDS = ("tokens", "keep_tokens", "keep_values", "protect_first", "protect_last")
HEAD_FIELDS = ("heads", "keep_heads")
#: Fields that may exceed the build's limit and are then clamped to it.
CLAMPED_FIELDS = ("keep_tokens", "keep_values", "protect_first", "protect_last", "keep_heads")


def used_bits(c: SpAttenConfig, field: Field) -> int:
    """Bits of a field that a legal job can need in this build."""
    if field.name in TOKEN_FIELDS:
        return c.count_bits
    if field.name in HEAD_FIELDS:
        return c.max_heads.bit_length()
    if field.name == "queries":
        return min(field.width, c.count_bits)
    if field.name == "group":
        return c.max_group.bit_length()
    if field.name.endswith("_token_stride"):
        return STRIDE_BITS
    if field.name.endswith("_head_stride") or field.width == 64:
        return min(field.width, c.addr_bits)
    return field.width


def fields_layout(c: SpAttenConfig) -> data.StructLayout:
    """Fields as they are stored: the bits that a legal job can need and, where the descriptor has more, one bit on top:
    the OR of the rest. With it the value is as illegal (or as large, for clamped fields) as the whole field, and has
    the same alignment; so rules give the same answer on both."""
    return data.StructLayout({f.name: unsigned(min(f.width, used_bits(c, f) + 1)) for f in fields_of(c)})


def stored(c: SpAttenConfig, field: Field, word: Value) -> Value:
    """The stored form of `field` out of its 64-bit word."""
    value = word[field.lsb:field.lsb + field.width]
    bits = used_bits(c, field)
    return Cat(value[:bits], value[bits:].any()) if bits < field.width else value


def decode(m: Module, c: SpAttenConfig, fields: data.View) -> data.View:
    """The job of stored fields that have passed validation, combinational."""
    layout = job_layout(c)
    job = Signal(layout)
    for f in fields_of(c):
        value = fields[f.name]
        if f.name == "dim":
            # A multiple of the chunk, which is a power of two.
            m.d.comb += job.chunks.eq(narrow(value[clog2(c.chunk):], c.chunk_count_bits))
            continue
        if f.name in CLAMPED_FIELDS:
            limit = c.max_heads if f.name in HEAD_FIELDS else c.max_tokens
            value = Mux(value > limit, limit, value)
        # The value fits, since it has passed validation.
        m.d.comb += job[f.name].eq(narrow(value, len(Value.cast(job[f.name]))))
    return job


def store_header(m: Module, c: SpAttenConfig, fields: data.View, word: Signal, read: data.View, error: Signal) -> None:
    """One header word: its fields, and whether bits without meaning are 0. A read error has priority."""
    for n in range(HEADER_WORDS):
        with m.If(word[n]):
            for f in fields_of(c):
                if f.word == n:
                    m.d.sync += fields[f.name].eq(stored(c, f, read.data))
            mask = reserved_mask(fields_of(c), n)
            if mask:
                with m.If(((read.data & mask) != 0) & (error == ErrorCode.OK)):
                    m.d.sync += error.eq(ErrorCode.RESERVED_BITS)
    with m.If(read.error):
        m.d.sync += error.eq(ErrorCode.READ_DESCRIPTOR)


def store_scale(m: Module, enable: Signal, entry: data.View, odd_word: Signal, read: data.View, give_back: Value,
                error: Signal) -> None:
    """One scale word: the first of an entry is kept, the second completes it, and `enable`s its write to the table.
    `give_back`: of the job; then every output scale must have bits to give away."""
    first = Signal(64, name="first_scale_word")
    reserved = Signal(name="scale_reserved")
    m.d.sync += first.eq(read.data)
    m.d.comb += [
        reserved.eq(Mux(odd_word, (read.data & reserved_mask(SCALE_FIELDS, 1)) != 0,
                        (read.data & reserved_mask(SCALE_FIELDS, 0)) != 0)),
        enable.eq(odd_word),
    ]
    for f in SCALE_FIELDS:
        source: Value = read.data if f.word else first
        m.d.comb += entry[f.name].eq(source[f.lsb:f.lsb + f.width])
    with m.If(read.error):
        m.d.sync += error.eq(ErrorCode.READ_DESCRIPTOR)
    with m.Elif(reserved & (error == ErrorCode.OK)):
        m.d.sync += error.eq(ErrorCode.BAD_SCALE)
    with m.Elif(odd_word & give_back & (entry.out_shift < GIVE_BACK_SHIFT) & (error == ErrorCode.OK)):
        m.d.sync += error.eq(ErrorCode.BAD_GIVE_BACK)
