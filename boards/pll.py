"""The clock of a board's design: its oscillator's, or another frequency from the FPGA's PLL."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import ClockDomain, Const, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from spatten_hw.errors import UserError


@dataclass(frozen=True)
class PllLimits:
    """What a PLL can do; Hz and divider ranges (lowest, highest)."""

    phase_detector: tuple[float, float]
    oscillator: tuple[float, float]
    divide_in: tuple[int, int]
    multiply: tuple[int, int]
    divide_out: tuple[int, int]


#: EHXPLLL, Lattice FPGA-DS-02012 (sysCLOCK PLL timing) and FPGA-TN-02200.
ECP5 = PllLimits((10e6, 400e6), (400e6, 800e6), (1, 128), (1, 128), (1, 128))
#: PLLE2 of the slowest 7-series speed grade, Xilinx DS181.
XC7 = PllLimits((19e6, 450e6), (800e6, 1600e6), (1, 56), (2, 64), (1, 128))
#: Largest deviation that counts as the frequency asked for.
TOLERANCE = 0.01


@dataclass(frozen=True)
class PllSetting:
    """out = oscillator / divide_out, oscillator = in / divide_in · multiply."""

    divide_in: int
    multiply: int
    divide_out: int
    hz: float


def solve(in_hz: float, out_hz: float, limits: PllLimits) -> PllSetting:
    """The setting nearest to `out_hz`, with the fastest oscillator (least jitter). Raises `UserError` if none is
    within 1 %."""
    best: tuple[float, float, PllSetting] | None = None
    for divide_in in range(limits.divide_in[0], limits.divide_in[1] + 1):
        phase = in_hz / divide_in
        if not limits.phase_detector[0] <= phase <= limits.phase_detector[1]:
            continue
        for multiply in range(limits.multiply[0], limits.multiply[1] + 1):
            for divide_out in range(limits.divide_out[0], limits.divide_out[1] + 1):
                oscillator = phase * multiply
                if not limits.oscillator[0] <= oscillator <= limits.oscillator[1]:
                    continue
                hz = oscillator / divide_out
                rank = (round(abs(hz - out_hz)), -oscillator)
                if best is None or rank < best[:2]:
                    best = (*rank, PllSetting(divide_in, multiply, divide_out, hz))
    if best is None or abs(best[2].hz - out_hz) > TOLERANCE * out_hz:
        near = f"; the nearest is {best[2].hz / 1e6:g} MHz" if best else ""
        raise UserError(f"--frequency {out_hz / 1e6:g}: the PLL cannot make it from {in_hz / 1e6:g} MHz{near}")
    return best[2]


def add_clock(m: Module, platform, in_hz: float, out_hz: float, family: str) -> None:
    """Adds the domain `sync` of `out_hz` from the platform's default clock. Its reset lasts until the PLL has locked,
    and while the board's reset button, if any, is pressed."""
    m.domains.sync = sync = ClockDomain()
    m.submodules.clock_pin = pin = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
    locked, pressed = Signal(), Const(0)
    if platform.default_rst is not None:
        m.submodules.reset_pin = button = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
        pressed = button.i
    if in_hz == out_hz:
        m.d.comb += [sync.clk.eq(pin.i), locked.eq(1)]
    elif family == "ecp5":
        s = solve(in_hz, out_hz, ECP5)
        m.submodules.pll = _ecp5(s, pin.i, sync.clk, locked)
    else:
        s = solve(in_hz, out_hz, XC7)
        raw = Signal()
        feedback = Signal()
        m.submodules.pll = Instance(
            "PLLE2_BASE", p_CLKIN1_PERIOD=1e9 / in_hz, p_DIVCLK_DIVIDE=s.divide_in, p_CLKFBOUT_MULT=s.multiply,
            p_CLKOUT0_DIVIDE=s.divide_out, i_CLKIN1=pin.i, i_CLKFBIN=feedback, o_CLKFBOUT=feedback, o_CLKOUT0=raw,
            o_LOCKED=locked, i_RST=Const(0), i_PWRDWN=Const(0))
        m.submodules.clock_buffer = Instance("BUFG", i_I=raw, o_O=sync.clk)
    # Flip-flops start at 0 with the bitstream, so the reset is on before the clock's first edge.
    running = Signal()
    m.domains.start = start = ClockDomain(local=True, reset_less=True)
    m.submodules.running = FFSynchronizer(locked & ~pressed, running, o_domain="start", init=0)
    m.d.comb += [start.clk.eq(sync.clk), sync.rst.eq(~running)]


def _ecp5(s: PllSetting, source, target, locked) -> Instance:
    """The feedback is an output of its own, CLKOP, at the phase detector's frequency; the design's clock is CLKOS."""
    feedback = Signal(name="pll_feedback")
    low = {name: Const(0) for name in (
        "i_RST", "i_STDBY", "i_PHASESEL0", "i_PHASESEL1", "i_PHASEDIR", "i_PHASESTEP", "i_PHASELOADREG",
        "i_PLLWAKESYNC", "i_ENCLKOP", "i_ENCLKOS")}
    off = {f"p_{name}": "DISABLED" for name in ("PLLRST_ENA", "INTFB_WAKE", "STDBY_ENABLE", "DPHASE_SOURCE")}
    return Instance(
        "EHXPLLL", a_FREQUENCY_PIN_CLKOS=f"{s.hz / 1e6:g}", p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=s.divide_in, p_CLKFB_DIV=1,
        p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=s.multiply, p_CLKOP_CPHASE=s.multiply - 1, p_CLKOP_FPHASE=0,
        p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=s.divide_out, p_CLKOS_CPHASE=s.divide_out - 1, p_CLKOS_FPHASE=0,
        p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB", **off, **low,
        i_CLKI=source, i_CLKFB=feedback, o_CLKOP=feedback, o_CLKOS=target, o_LOCK=locked)
