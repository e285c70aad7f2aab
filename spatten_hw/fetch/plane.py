"""Where the rows of a plane lie and how they are packed, from the job."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

from ..config import LSB_WIDTH, SpAttenConfig, clog2
from ..interface.descriptor import STRIDE_BITS
from ..primitives.products import times_few
from ..primitives.widths import narrow
from ..stream.job_layouts import head_stride_bits
from ..stream.read_layouts import plane_mode


def plane_address(c: SpAttenConfig) -> data.StructLayout:
    """Channel-local byte address of head 0's token 0, bytes from a head to the next one, bytes from a token to the next
    one of its channel (multiples of a beat, all of them), and the `beats` of a row."""
    return data.StructLayout({
        "base": unsigned(c.axi_addr_bits), "head_stride": unsigned(head_stride_bits(c)),
        "token_stride": unsigned(STRIDE_BITS), "beats": unsigned(c.beats_bits),
    })


def plane_layout(c: SpAttenConfig) -> data.StructLayout:
    """Where the rows of a plane lie, and how they are packed."""
    return data.StructLayout({**plane_address(c).members, "mode": plane_mode(c)})


def row_beats(c: SpAttenConfig, chunks: Value, width: Value) -> Value:
    """Beats of a row of `chunks` chunks of elements of `width` bits."""
    beat, chunk = clog2(c.axi_data_bits), clog2(c.chunk)
    units = times_few(width, chunks)                # of N bits
    if beat <= chunk:
        return narrow(units << (chunk - beat), c.beats_bits)
    less = (1 << (beat - chunk)) - 1
    return narrow((units + less) >> (beat - chunk), c.beats_bits)


def plane_of(m: Module, c: SpAttenConfig, job: data.View, plane: str, name: str) -> data.View:
    """The plane "q", "k_msb", "k_lsb", "v_msb" or "v_lsb" of `job` in registers, two cycles late; `name` starts
    theirs."""
    lsb = plane.endswith("_lsb")
    width = Signal(5, name=f"{name}_width", reset_less=True)
    chunks = Signal(c.chunk_count_bits, name=f"{name}_chunks", reset_less=True)
    where = Signal(plane_layout(c), name=name, reset_less=True)
    shifted = job[f"{plane[0]}_lsb"] != 0 if plane.endswith("_msb") else 0
    if plane == "k_lsb" and c.decision_rules:
        shifted = job.lsb_by_key
    m.d.sync += [
        width.eq(LSB_WIDTH if lsb else job["q_bits" if plane == "q" else plane]), chunks.eq(job.chunks),
        where.base.eq(job[f"{plane}_base"]), where.head_stride.eq(job[f"{plane}_head_stride"]),
        where.token_stride.eq(job[f"{plane}_token_stride"]), where.beats.eq(row_beats(c, chunks, width)),
        where.mode.width.eq(width), where.mode.lsb.eq(int(lsb)), where.mode.shift.eq(Mux(shifted, 1, 0)),
        where.mode.chunks.eq(chunks),
    ]
    return where
