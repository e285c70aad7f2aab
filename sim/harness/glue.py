"""The generated header `glue.h`: how `harness.cpp` names the ports of one build, and what its probe shows."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig
from spatten_hw.probe import WORD, observed, probe_layout

#: Ports of one memory channel, without the prefix `m_axi_<c>_`; all but data and strobe are scalars.
_PINS = ("awid", "awaddr", "awlen", "awsize", "awburst", "awcache", "awprot", "awvalid", "awready", "wdata", "wstrb",
         "wlast", "wvalid", "wready", "bid", "bresp", "bvalid", "bready", "arid", "araddr", "arlen", "arsize",
         "arburst", "arcache", "arprot", "arvalid", "arready", "rid", "rdata", "rresp", "rlast", "rvalid", "rready")
#: State bits of the probe: there is a job; a unit is at work that may be silent for long, since it looks at all tokens.
WORKING = ("running", "queued")
SLOW = ("busy_softmax", "busy_topk", "busy_cascade")
_BYTES = ("wdata", "wstrb", "rdata")


def glue_header(channels: int, data_bits: int, probe: SpAttenConfig | None = None) -> str:
    """The header of a design with `channels` memory ports of `data_bits`; `probe`: it is `Top(probe, probe=True)`."""
    return _ports(channels, data_bits) + _probe(probe)


def _ports(channels: int, data_bits: int) -> str:
    """C++ that names the ports of this build: `Top`, `CHANNELS`, `BEAT_BYTES`, `Pins` and `pins(top, channel)`.

    Verilator makes ports of up to 64 bits integers and wider ones arrays of words; bytes of both are the same on
    a little-endian host, so data and strobes are pointed to as bytes.
    """
    def declare(pin: str) -> str:
        if pin in _BYTES:
            return f"    void* {pin};"
        return f"    std::remove_reference_t<decltype(Top::m_axi_0_{pin})>* {pin};"

    pins = "\n".join(declare(p) for p in _PINS)
    cases = "\n".join(f"    case {c}: return Pins{{{', '.join(f'&t.m_axi_{c}_{p}' for p in _PINS)}}};"
                      for c in range(channels))
    return f"""#pragma once
#include <type_traits>
#include "Vspatten.h"
using Top = Vspatten;
constexpr unsigned CHANNELS = {channels}, BEAT_BYTES = {data_bits // 8};
struct Pins {{
{pins}
}};
inline Pins pins(Top& t, unsigned channel) {{
    switch (channel) {{
{cases}
    }}
    return {{}};
}}
"""


def _probe(config: SpAttenConfig | None) -> str:
    """C++ that says what the port `probe` holds: `PROBE`, `probe_port(top)`. None: the design has no such port."""
    if config is None:
        return """
#include "probe.h"
constexpr ProbeTable PROBE{0, 0, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0, 0};
inline const void* probe_port(Top&) { return nullptr; }
"""
    table = observed(config)
    names = [o.name for o in table]
    words = probe_layout(config)["valid"].width // WORD
    key_words, lane_masks, word = [], [], 3 * words
    masks = {name: [0] * words for name in ("RECORDED", "MOVES", "WORKING", "SLOW")}
    for n, o in enumerate(table):
        fields = list(o.fields(config).values())
        key_words.append(word if fields else 0)
        word += bool(fields)
        lane_masks.append((1 << fields[0]) - 1 if o.interleaved else 0)
        for name, on in (("RECORDED", not o.counted), ("MOVES", not o.level), ("WORKING", o.name in WORKING),
                         ("SLOW", o.name in SLOW)):
            masks[name][n // WORD] |= int(on) << n % WORD

    def array(kind: str, name: str, values: list[int]) -> str:
        return f"constexpr {kind} {name}[] = {{{', '.join(f'{v}u' if v < 1 << 32 else f'{v}ull' for v in values)}}};"

    given = ", ".join(f"PROBE_{name}" for name in masks)
    lines = "\n".join(array("uint64_t", f"PROBE_{name}", mask) for name, mask in masks.items())
    return f"""
#include "probe.h"
{array("uint16_t", "PROBE_KEY_WORD", key_words)}
{array("uint64_t", "PROBE_LANE_MASK", lane_masks)}
{lines}
constexpr ProbeTable PROBE{{{len(table)}, {words}, PROBE_KEY_WORD, PROBE_LANE_MASK, {given},
                           {names.index("jobs")}, {names.index("completions")}}};
// Wider than 64 bits: an array of 32-bit words, bytes in order on a little-endian host.
inline const void* probe_port(Top& t) {{ return t.probe.data(); }}
"""
