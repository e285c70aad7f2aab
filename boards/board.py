"""What the flow knows of a board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from boards.flow.devices import Device
from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import SMALL

#: On top of preset `small`, where place and route are done here: two lanes of top-k instead of four. With four, the
#: router gets stuck in the cascade's quick-select (docs/fpga.md).
ROUTABLE = {"topk_lanes": 2}


@dataclass(frozen=True)
class Board:
    """A board. `platform` makes its amaranth-boards platform; `oscillator_hz`: of the platform's default clock;
    `clock_hz`: of the design by default; `memories`: kind → what makes a `SystemMemory` of it for a clock in Hz, the
    first being the default; `leds`: the status lights on a platform, least first, 1 = on; `connect`: kind → function
    (m, system, platform) that ties the pins of that memory; `settings`: what is changed in preset
    `small` if no other configuration is asked for."""

    name: str
    title: str
    platform: Callable[[], Any]
    device: Device
    oscillator_hz: int
    clock_hz: int
    memories: Mapping[str, Callable]
    leds: Callable[[Any], list]
    connect: Mapping[str, Callable] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> SpAttenConfig:
        """What is built by default."""
        return SMALL.replace(name=self.name, **self.settings) if self.settings else SMALL

    @property
    def options(self) -> str:
        """The options of `spatten-hw run` that stand for it."""
        changes = (f"--set {name}={value}" for name, value in self.settings.items())
        return " ".join([f"--preset {SMALL.name}", *changes])
