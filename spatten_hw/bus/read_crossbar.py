"""Connects every read requester to every memory channel (SpAtten, Figure 8: address and data crossbars)."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..contract import at_most_one, contract
from ..shared import Shared
from ..stream.skid import SkidBuffer
from .axi import ar_layout, r_layout
from .crossbar_ports import (
    RequestColumn,
    ResponseColumn,
    burst_bits,
    request_layout,
    response_layout,
)
from .interleave import channel_of

__all__ = ["ReadCrossbar", "burst_bits", "request_layout", "response_banks", "response_layout"]


#: Most response banks of a requester.
MAX_BANKS = 8


def response_banks(c: SpAttenConfig) -> int:
    """Beats a requester takes per cycle, one from each bank of channels (channel mod banks).

    A channel whose beat waits for a busy requester holds up the beats behind it, for all requesters. With one
    beat per requester and cycle that costs 13 % of the bandwidth at 2 channels and some 40 % at 16; with a
    bank per channel it cannot happen, and the multiplexers are divided differently but not larger.
    """
    return min(c.channels, MAX_BANKS)


class ReadCrossbar(wiring.Component):
    """`requesters` × `channels`: requests to the channel their address lives on, beats back to the requester.

    Ports: arrays `req` (per requester), `rsp` (requester × bank, see `response_banks`), `ar` and `r` (per
    channel). A request takes `REQUEST_LATENCY` cycles to `ar` when nobody competes, a beat `RESPONSE_LATENCY` from
    `r` to `rsp`. One request and one beat per channel and cycle, one request and one beat of each bank per
    requester and cycle; round robin among competitors in both directions, but `patient` requesters
    (a bit each) are served only when no other requester wants the channel. Skid buffers at `req`,
    `ar` and `r`: no combinational path from a requester to a channel or back. AXI id = requester ·
    ids_per_port + burst.
    """

    req: list[stream.Interface]
    rsp: list[list[stream.Interface]]
    ar: list[stream.Interface]
    r: list[stream.Interface]

    REQUEST_LATENCY = 2
    RESPONSE_LATENCY = 2

    def __init__(self, config: SpAttenConfig, requesters: int | None = None, patient: int = 0):
        self.config = c = config
        self.requesters = c.requesters if requesters is None else requesters
        self.patient = patient
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
        waiting = []
        taken = [Signal(channels, name=f"request{i}_taken") for i in range(n)]
        for i in range(n):
            m.submodules[f"request_skid{i}"] = skid = Shared(SkidBuffer, request_layout(c))
            connect(m, flipped(self.req[i]), skid.i)
            m.d.comb += skid.o.ready.eq(taken[i].any())
            waiting.append(skid.o)
        for ch in range(channels):
            m.submodules[f"requests{ch}"] = column = Shared(RequestColumn, c, n, self.patient)
            connect(m, column.ar, flipped(self.ar[ch]))
            for i, w in enumerate(waiting):
                m.d.comb += [
                    column.requests[i].eq(w.valid & (channel_of(c, w.payload.addr) == ch)),
                    column.payloads[i].eq(w.payload),
                    taken[i][ch].eq(column.taken[i]),
                ]

    def _responses(self, m: Module) -> None:
        c = self.config
        n, channels = self.requesters, c.channels
        banks = response_banks(c)
        taken = [Signal(n, name=f"beat{ch}_taken") for ch in range(channels)]
        arrived = []
        for ch in range(channels):
            m.submodules[f"data_skid{ch}"] = skid = Shared(SkidBuffer, r_layout(c))
            connect(m, flipped(self.r[ch]), skid.i)
            m.d.comb += skid.o.ready.eq(taken[ch].any())
            arrived.append(skid.o)
            contract(m, at_most_one(taken[ch]), f"a beat of channel {ch} goes to one requester")
            contract(m, (skid.o.payload.id >> burst_bits(c)) < n, f"beats of channel {ch} are for a requester",
                     when=skid.o.valid)
        for i in range(n):
            for bank in range(banks):
                own_channels = range(bank, channels, banks)
                m.submodules[f"responses{i}_{bank}"] = column = Shared(ResponseColumn, c, len(own_channels))
                connect(m, column.rsp, flipped(self.rsp[i][bank]))
                m.d.comb += column.me.eq(i)
                for k, ch in enumerate(own_channels):
                    m.d.comb += [
                        column.valid[k].eq(arrived[ch].valid), column.beats[k].eq(arrived[ch].payload),
                        taken[ch][i].eq(column.taken[k]),
                    ]
