"""Progressive quantisation: is the distribution flat, so that the LSBs are needed?"""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.pipeline import delay
from ..primitives.rounding import guarded_shift, round_guarded, sticky_shift
from ..primitives.widths import saturate
from ..stream.fifo import never_full
from .formats import M_FRACTION, PROB_SHIFT
from .rows import decision_notice, header, inverse, slot_notice, vector_info


class Decision(wiring.Component):
    """Compares max(P) with the threshold; the reciprocal gives max(P) before any probability is normalised.

    max(P) is the normalisation of m = 2^16, i = 0. A vector is flat if its LSBs exist and are not in its scores
    yet (`may_refetch`) and max(P) < `threshold` (SpAtten section III-D). `inverse`: reciprocals, always accepted;
    `info`: the vectors in the same order, each before its reciprocal. `header` follows LATENCY cycles
    later, one vector per cycle; its consumer must always accept (credits upstream). Each vector that may refetch is
    in `decided`, which may stall. When that is taken, its slot is in `free` a cycle later, for one cycle, unless the
    same scores come again (flat, in generation). So at most one notice per slot waits, and the queue is never full.
    """

    LATENCY = 2

    inverse: stream.Interface
    info: stream.Interface
    header: stream.Interface
    decided: stream.Interface
    free: stream.Interface
    threshold: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "threshold": In(PROB_BITS + 1),
            "inverse": In(stream.Signature(inverse(config))),
            "info": In(stream.Signature(vector_info(config))),
            "header": Out(stream.Signature(header(config))),
            "decided": Out(stream.Signature(decision_notice(config))),
            "free": Out(stream.Signature(slot_notice(config))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        # m·r = r·2^16: instead of shifting it by PROB_SHIFT + k, r is shifted by PROB_SHIFT − 16 (constant), then by k.
        r, constant = self.inverse.p.r, PROB_SHIFT - M_FRACTION
        guarded_r = Signal(len(r) - constant + 2)
        moved = Signal(len(guarded_r), reset_less=True)
        largest = Signal(PROB_BITS)
        is_flat = Signal()
        valid = delay(m, self.inverse.valid, 1, "valid", reset=True)
        inverse_1 = delay(m, self.inverse.payload, 1, "inverse")
        m.d.comb += [
            self.inverse.ready.eq(1),
            guarded_r.eq(guarded_shift(r, constant)),
            largest.eq(saturate(round_guarded(moved), unsigned(PROB_BITS))),
            is_flat.eq(self.info.p.may_refetch & (largest < self.threshold)),
            self.info.ready.eq(valid),
        ]
        m.d.sync += moved.eq(sticky_shift(m, guarded_r, self.inverse.p.k, 1, "moved"))

        m.submodules.notices = notices = never_full(decision_notice(c), c.slots)
        decided = delay(m, valid, 1, "decided", reset=True)
        drop = delay(m, is_flat, 1, "drop")
        info = delay(m, self.info.payload, 1, "info")
        m.d.comb += [
            self.header.valid.eq(decided),
            self.header.p.inverse.eq(delay(m, inverse_1, 1, "inverse_2")),
            self.header.p.drop.eq(drop),
            self.header.p.tag.eq(info.tag),
            notices.i.valid.eq(decided & info.may_refetch),
            notices.i.p.slot.eq(info.slot), notices.i.p.flat.eq(drop), notices.i.p.tag.eq(info.tag),
            self.decided.valid.eq(notices.o.valid), self.decided.payload.eq(notices.o.payload),
            notices.o.ready.eq(self.decided.ready),
        ]
        notice = notices.o.p
        given_back = notices.o.valid & self.decided.ready & ~(notice.flat & notice.tag.stream)
        m.d.comb += [
            self.free.valid.eq(delay(m, given_back, 1, "given_back", reset=True)),
            self.free.p.slot.eq(delay(m, notice.slot, 1, "given_back_slot")),
        ]
        contract(m, self.info.valid, "a vector's info is there before its reciprocal", when=valid)
        always_taken(m, self.header, "headers")
        always_taken(m, self.free, "freed slots")
        return m
