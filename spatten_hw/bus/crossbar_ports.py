"""The two kinds of crosspoint columns of the read crossbar, each written to Verilog once."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..contract import at_most_one, contract
from ..primitives.one_hot import one_hot_mux
from ..stream.arbiter import RoundRobin
from ..stream.skid import SkidBuffer
from .axi import LEN_BITS, ar_layout, r_layout
from .interleave import local_address


def burst_bits(c: SpAttenConfig) -> int:
    """Width of a burst number within a requester."""
    return max(1, clog2(c.ids_per_port))


def request_layout(c: SpAttenConfig) -> data.StructLayout:
    """A burst of `beats` ≥ 1 whole beats from logical byte address `addr`, inside one interleave granule.

    `burst`: the requester's number for it, not reused before its last beat has come back.
    """
    return data.StructLayout({
        "addr": unsigned(c.addr_bits), "beats": unsigned(c.granule_beats.bit_length()),
        "burst": unsigned(burst_bits(c)),
    })


def response_layout(c: SpAttenConfig) -> data.StructLayout:
    """One beat of burst `burst`; beats of a burst in order, those of different bursts in any. `error`: AXI's."""
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "burst": unsigned(burst_bits(c)), "last": 1, "error": 1,
    })


class RequestColumn(wiring.Component):
    """The requests of n requesters to one channel: one a cycle, round robin, skid buffer at `ar`. Requesters in
    `patient` (a bit per requester) are served only when no other has a request.

    `requests`: requesters with a request for this channel, `payloads`: the requests; `taken` (one-hot): whose is taken.
    It depends on `requests` and registers, not on `ar.ready`. AXI id = requester · ids_per_port + burst.
    """

    ar: stream.Interface
    payloads: data.View

    def __init__(self, config: SpAttenConfig, requesters: int, patient: int = 0):
        self.config = c = config
        self.requesters = requesters
        self.patient = patient
        super().__init__({
            "requests": In(requesters), "payloads": In(data.ArrayLayout(request_layout(c), requesters)),
            "taken": Out(requesters), "ar": Out(stream.Signature(ar_layout(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.arbiter = arbiter = RoundRobin(self.requesters)
        m.submodules.skid = skid = SkidBuffer(ar_layout(c))
        chosen = Signal(request_layout(c))
        prompt = Signal(self.requesters)
        m.d.comb += [
            prompt.eq(self.requests & (~self.patient & ((1 << self.requesters) - 1))),
            arbiter.requests.eq(Mux(prompt.any(), prompt, self.requests)), arbiter.advance.eq(skid.i.ready),
            self.taken.eq(Mux(skid.i.ready, arbiter.grant, 0)),
            chosen.eq(one_hot_mux(arbiter.grant, [self.payloads[i] for i in range(self.requesters)])),
            skid.i.valid.eq(arbiter.any),
            skid.i.payload.addr.eq(local_address(c, chosen.addr)),
            skid.i.payload.len.eq((chosen.beats - 1)[:LEN_BITS]),
            skid.i.payload.id.eq(Cat(chosen.burst, arbiter.index)),
        ]
        connect(m, skid.o, flipped(self.ar))
        low, high = clog2(c.beat_bytes), clog2(c.interleave_bytes)
        contract(m, (chosen.beats != 0) & (chosen.addr[low:high] + chosen.beats <= c.granule_beats),
                 "a burst has a beat and stays inside its granule", when=skid.i.valid)
        return m


class ResponseColumn(wiring.Component):
    """The beats of `channels` channels for one requester: round robin, one a cycle, registered.

    `me`: the requester's number (constant). `valid`, `beats`: what the channels offer; `taken`: which is taken
    now (at most one). `rsp` one cycle later; its payload changes only when a beat comes.
    """

    rsp: stream.Interface
    beats: list[data.View]

    def __init__(self, config: SpAttenConfig, channels: int):
        self.config = c = config
        self.channels = channels
        super().__init__({
            "me": In(c.id_bits - burst_bits(c)), "valid": In(channels),
            "beats": In(r_layout(c)).array(channels),
            "taken": Out(channels), "rsp": Out(stream.Signature(response_layout(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        bb = burst_bits(c)
        rsp = self.rsp
        free = Signal()
        own_beats = Signal(self.channels)
        grant = Signal(self.channels)
        m.d.comb += [
            free.eq(~rsp.valid | rsp.ready),
            own_beats.eq(Cat(self.valid[k] & (self.beats[k].id[bb:] == self.me) for k in range(self.channels))),
            self.taken.eq(Mux(free, grant, 0)),
        ]
        if self.channels == 1:       # one channel: no arbitration
            m.d.comb += grant.eq(own_beats)
        else:
            m.submodules.arbiter = arbiter = RoundRobin(self.channels)
            m.d.comb += [arbiter.requests.eq(own_beats), arbiter.advance.eq(free), grant.eq(arbiter.grant)]
        with m.If(free):
            m.d.sync += rsp.valid.eq(own_beats.any())
        # Not an AND-OR of all beats: a simulator copies only the beat that comes.
        for k, beat in enumerate(self.beats):
            with m.If(self.taken[k]):
                m.d.sync += [
                    rsp.payload.data.eq(beat.data), rsp.payload.burst.eq(beat.id[:bb]),
                    rsp.payload.last.eq(beat.last), rsp.payload.error.eq(beat.resp[1]),
                ]
        contract(m, at_most_one(self.taken) & ((self.taken & ~self.valid) == 0), "one of the beats offered is taken")
        return m
