"""Attaches an `AxiChecker` to every memory port of a component under cocotb.

    watch_streams(bench, config)       # ar__0, r__0, … among the streams of a `Bench`
    watch_pins(dut, config)            # m_axi_0_* … of a top, until the test ends
"""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from spatten_hw.bus.axi import ar_layout, aw_layout, b_layout, r_layout, w_layout
from spatten_hw.config import SpAttenConfig, clog2
from spatten_hw.sim.harness.rules import DesignRules, rules_of

from .axi_checker import AxiChecker
from .streams import Bench

_LAYOUTS = {"ar": ar_layout, "aw": aw_layout, "w": w_layout, "r": r_layout, "b": b_layout}


class StreamMonitor:
    """The AXI channels of memory port `number` that are streams of `bench`, read as AXI signals."""

    def __init__(self, bench: Bench, config: SpAttenConfig, number: int, checker: AxiChecker):
        self.checker = checker
        self._signals: dict[str, Any] = {}
        self._fields: dict[str, tuple[str, int, int]] = {}
        # What a stream does not carry because it never changes.
        self._constants: dict[str, int] = {}
        for channel in checker.channels:
            port = {**bench.inputs, **bench.outputs}[f"{channel}__{number}"]
            self._signals |= {f"{channel}valid": port.valid, f"{channel}ready": port.ready, channel: port.payload}
            for name, field in _LAYOUTS[channel](config):
                width = 1 if field.shape == 1 else field.shape.width
                self._fields[f"{channel}{name}"] = (channel, field.offset, (1 << width) - 1)
            if channel in ("ar", "aw"):
                self._constants |= {f"{channel}size": clog2(config.beat_bytes), f"{channel}burst": 1,
                                    f"{channel}cache": 0, f"{channel}prot": 0}
        self._payloads: dict[str, int] = {}

    def read(self, name: str) -> int:
        if name in self._constants:
            return self._constants[name]
        if name not in self._fields:
            return int(self._signals[name].value)
        channel, offset, mask = self._fields[name]
        if channel not in self._payloads:
            self._payloads[channel] = int(self._signals[channel].value)
        return self._payloads[channel] >> offset & mask

    def sample(self) -> None:
        """A cycle outside reset, settled."""
        self._payloads.clear()
        self.checker.sample(self.read)

    def reset(self) -> None:
        """The end of a reset."""
        self.checker.sample_reset(self.read)
        self.checker.reset()


def watch_streams(bench: Bench, config: SpAttenConfig, rules: DesignRules | None = None) -> list[AxiChecker]:
    """Checkers of the memory ports whose channels are streams of `bench`, called in each of its steps."""
    names = {**bench.inputs, **bench.outputs}
    checkers = []
    for n in range(config.channels):
        channels = [k for k in _LAYOUTS if f"{k}__{n}" in names]
        checkers.append(AxiChecker(f"port {n}", config.beat_bytes, rules or rules_of(config), channels))
        bench.monitors.append(StreamMonitor(bench, config, n, checkers[-1]))
    return checkers


def watch_pins(dut: Any, config: SpAttenConfig) -> list[AxiChecker]:
    """Checkers of a top's memory ports, called in every cycle from now on."""
    checkers = [AxiChecker(f"m_axi_{n}", config.beat_bytes, rules_of(config)) for n in range(config.channels)]
    cocotb.start_soon(_watch(dut, checkers))
    return checkers


async def _watch(dut: Any, checkers: list[AxiChecker]) -> None:
    handles: dict[str, Any] = {}

    def reader(prefix: str):
        def read(name: str) -> int:
            pin = f"{prefix}_{name}"
            if pin not in handles:
                handles[pin] = getattr(dut, pin)
            return int(handles[pin].value)
        return read

    readers = [reader(checker.name) for checker in checkers]
    in_reset = 0
    while True:
        # Between the edges: what was driven after the last one has settled.
        await FallingEdge(dut.clk)
        in_reset = in_reset + 1 if int(dut.rst.value) else 0
        for checker, read in zip(checkers, readers, strict=True):
            if not in_reset:
                checker.sample(read)
                continue
            # The masters are silent at once; a memory has to see the reset first.
            checker.sample_reset(read, ("ar", "aw", "w") if in_reset == 1 else checker.channels)
            checker.reset()
