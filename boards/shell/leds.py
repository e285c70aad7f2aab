"""Status lights."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

#: Number of lights and, by bit, what they say.
LED_COUNT = 4
ALIVE, BUSY, ERROR, LINK = range(LED_COUNT)
#: A light that shows an event stays on for a sixteenth of a second.
STRETCH = 16


class StatusLeds(wiring.Component):
    """`leds`, 1 = on. Bit 0 blinks once a second, 1: the accelerator used its memory, 2: a job has ended with an error
    since the last reset of the accelerator, 3: the link received a character."""

    def __init__(self, clock_hz: int):
        self.clock_hz = clock_hz
        super().__init__({
            "traffic": In(1), "failed": In(1), "clear": In(1), "received": In(1), "leds": Out(LED_COUNT),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        half = max(1, self.clock_hz // 2)
        beat = Signal(range(half))
        with m.If(beat == half - 1):
            m.d.sync += [beat.eq(0), self.leds[ALIVE].eq(~self.leds[ALIVE])]
        with m.Else():
            m.d.sync += beat.eq(beat + 1)
        stretch = max(1, self.clock_hz // STRETCH)
        for event, light in ((self.traffic, BUSY), (self.received, LINK)):
            left = Signal(range(stretch + 1), name=f"light_{light}")
            m.d.comb += self.leds[light].eq(left != 0)
            with m.If(event):
                m.d.sync += left.eq(stretch)
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)
        with m.If(self.clear):
            m.d.sync += self.leds[ERROR].eq(0)
        with m.Elif(self.failed):
            m.d.sync += self.leds[ERROR].eq(1)
        return m
