"""Every read requester to every memory channel (SpAtten, Figure 8: address and data crossbars)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..stream.arbiter import RoundRobin
from ..stream.skid import SkidBuffer
from .axi import LEN_BITS, ar_layout, r_layout


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


#: Most response banks of a requester.
MAX_BANKS = 8


def response_banks(c: SpAttenConfig) -> int:
    """Beats a requester takes per cycle, one from each bank of channels (channel mod banks).

    A channel whose beat waits for a busy requester holds up the beats behind it, for everyone. With one
    beat per requester and cycle that costs 13 % of the bandwidth at 2 channels and some 40 % at 16; with a
    bank per channel it cannot happen, and multiplexers do not grow, they are only cut differently.
    """
    return min(c.channels, MAX_BANKS)


def local_address(c: SpAttenConfig, addr: Value) -> Value:
    """Channel-local byte address of a logical one: the channel number cut out above the granule offset."""
    low = clog2(c.interleave_bytes)
    return Cat(addr[:low], addr[low + clog2(c.channels):])


class ReadCrossbar(wiring.Component):
    """`requesters` × `channels`: requests to the channel their address lives on, beats back to who asked.

    Ports: arrays `req` (per requester), `rsp` (requester × bank, see `response_banks`), `ar` and `r` (per
    channel). A request takes `REQUEST_LATENCY` cycles to `ar` when nobody competes, a beat `RESPONSE_LATENCY` from
    `r` to `rsp`. One request and one beat per channel and cycle, one request and one beat of each bank per
    requester and cycle; round robin among competitors, both ways. Skid buffers at `req`,
    `ar` and `r`: no combinational path from a requester to a channel or back. AXI id = requester ·
    ids_per_port + burst.
    """

    req: list[stream.Interface]
    rsp: list[list[stream.Interface]]
    ar: list[stream.Interface]
    r: list[stream.Interface]

    REQUEST_LATENCY = 2
    RESPONSE_LATENCY = 2

    def __init__(self, config: SpAttenConfig, requesters: int | None = None):
        self.config = c = config
        self.requesters = c.requesters if requesters is None else requesters
        super().__init__({
            "req": In(stream.Signature(request_layout(c))).array(self.requesters),
            "rsp": Out(stream.Signature(response_layout(c))).array(self.requesters, response_banks(c)),
            "ar": Out(stream.Signature(ar_layout(c))).array(c.channels),
            "r": In(stream.Signature(r_layout(c))).array(c.channels),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        self._requests(m)
        self._responses(m)
        return m

    def _requests(self, m: Module) -> None:
        c = self.config
        n, channels = self.requesters, c.channels
        low = clog2(c.interleave_bytes)
        shape = request_layout(c)
        granted = [Signal(channels, name=f"request{i}_taken") for i in range(n)]
        waiting = []
        for i in range(n):
            m.submodules[f"request_skid{i}"] = skid = SkidBuffer(shape)
            connect(m, flipped(self.req[i]), skid.i)
            m.d.comb += skid.o.ready.eq(granted[i].any())
            waiting.append(skid.o)
        for ch in range(channels):
            m.submodules[f"request_arbiter{ch}"] = arbiter = RoundRobin(n)
            m.submodules[f"address_skid{ch}"] = out = SkidBuffer(ar_layout(c))
            for i, w in enumerate(waiting):
                here = w.payload.addr[low:low + clog2(channels)] == ch if channels > 1 else Const(1)
                m.d.comb += [
                    arbiter.requests[i].eq(w.valid & here),
                    granted[i][ch].eq(arbiter.grant[i] & out.i.ready),
                ]
            chosen = Signal(shape, name=f"request_for{ch}")
            m.d.comb += [
                arbiter.advance.eq(out.i.ready),
                chosen.eq(_one_hot_mux(arbiter.grant, [w.payload for w in waiting])),
                out.i.valid.eq(arbiter.any),
                out.i.payload.addr.eq(local_address(c, chosen.addr)),
                out.i.payload.len.eq((chosen.beats - 1)[:LEN_BITS]),
                out.i.payload.id.eq(Cat(chosen.burst, arbiter.index)),
            ]
            connect(m, out.o, flipped(self.ar[ch]))

    def _responses(self, m: Module) -> None:
        c = self.config
        n, channels = self.requesters, c.channels
        taken = [Signal(n, name=f"beat{ch}_taken") for ch in range(channels)]
        arrived = []
        for ch in range(channels):
            m.submodules[f"data_skid{ch}"] = skid = SkidBuffer(r_layout(c))
            connect(m, flipped(self.r[ch]), skid.i)
            m.d.comb += skid.o.ready.eq(taken[ch].any())
            arrived.append(skid.o)
        banks = response_banks(c)
        for i in range(n):
            for bank in range(banks):
                self._answer(m, i, bank, arrived[bank::banks], [t[i] for t in taken[bank::banks]])

    def _answer(self, m: Module, i: int, bank: int, arrived: list[stream.Interface], taken: list[Value]) -> None:
        """Beats for requester `i` from the channels of one bank."""
        c = self.config
        bb = burst_bits(c)
        rsp = self.rsp[i][bank]
        free = Signal(name=f"response{i}_{bank}_free")
        wanted = Signal(len(arrived), name=f"response{i}_{bank}_wanted")
        beat = Signal(r_layout(c), name=f"beat_for{i}_{bank}")
        m.d.comb += [
            free.eq(~rsp.valid | rsp.ready),
            wanted.eq(Cat(a.valid & (a.payload.id[bb:] == i) for a in arrived)),
        ]
        if len(arrived) == 1:       # a channel of its own: nobody to arbitrate with
            m.d.comb += [beat.eq(arrived[0].payload), taken[0].eq(wanted & free)]
        else:
            m.submodules[f"response_arbiter{i}_{bank}"] = arbiter = RoundRobin(len(arrived))
            m.d.comb += [
                arbiter.requests.eq(wanted), arbiter.advance.eq(free),
                beat.eq(_one_hot_mux(arbiter.grant, [a.payload for a in arrived])),
            ]
            m.d.comb += [t.eq(arbiter.grant[k] & free) for k, t in enumerate(taken)]
        with m.If(free):
            m.d.sync += [
                rsp.valid.eq(wanted.any()), rsp.payload.data.eq(beat.data), rsp.payload.burst.eq(beat.id[:bb]),
                rsp.payload.last.eq(beat.last), rsp.payload.error.eq(beat.resp[1]),
            ]


def _one_hot_mux(select: Value, payloads: list) -> Value:
    """The payload whose `select` bit is set, 0 without: an AND-OR tree, shallower than a priority chain."""
    result: Value = Const(0, len(Value.cast(payloads[0])))
    for i, p in enumerate(payloads):
        v = Value.cast(p)
        result = result | Mux(select[i], v, 0)
    return result
