"""What the flow knows of a board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spatten_hw.boards.flow.devices import Device


@dataclass(frozen=True)
class Board:
    """A board. `platform` makes its amaranth-boards platform; `oscillator_hz`: of the platform's default clock;
    `clock_hz`: of the design by default; `memories`: kind → what makes a `SystemMemory` of it for a clock in Hz, the
    first being the default; `leds`: the status lights on a platform, least first, 1 = on; `connect`: kind → function
    (m, system, platform) that ties the pins of that memory."""

    name: str
    title: str
    platform: Callable[[], Any]
    device: Device
    oscillator_hz: int
    clock_hz: int
    memories: Mapping[str, Callable]
    leds: Callable[[Any], list]
    connect: Mapping[str, Callable] = field(default_factory=dict)
