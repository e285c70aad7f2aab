"""ThresholdTracking on its own: the next vector's window and digits, and when what was found may be used."""

from functools import cache

import pytest
from amaranth import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from spatten_hw.prune.rows import DIGIT_BITS
from spatten_hw.prune.threshold_tracking import SPAN, STEADY_CYCLES, ThresholdTracking
from spatten_hw.sim.harness.block import Block
from tests.seeds import numbers

from .builds import tiny

JOB = {"keep": 5, "tokens": 30, "protect_first": 1, "protect_last": 2}
OTHERS = [JOB | {name: JOB[name] + 1} for name in JOB]
DIGITS = 1 << DIGIT_BITS


class Rig(wiring.Component):
    """`ThresholdTracking`, and a stream that carries nothing: a `Block` has one."""

    def __init__(self):
        self.tracking = ThresholdTracking(tiny(4))
        super().__init__({**self.tracking.signature.members, "none": In(stream.Signature(unsigned(1)))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.tracking = tracking = self.tracking
        for name, member in tracking.signature.members.items():
            inside, outside = getattr(tracking, name), getattr(self, name)
            m.d.comb += inside.eq(outside) if member.flow == In else outside.eq(inside)
        return m


@cache
def compiled() -> Block:
    return Block(Rig)


@pytest.fixture
def block() -> Block:
    block = compiled()
    block.set(next=JOB, job=JOB, follow=1)
    pulse(block)
    block.reset()
    block.idle(STEADY_CYCLES + 2)
    return block


def pulse(block: Block, **values: int) -> None:
    """A cycle in which these are set, and no other order is."""
    orders = dict.fromkeys(("start", "opens", "closes", "decided", "higher", "spoil", "digit"), 0)
    block.set(**(orders | values))
    block.idle(1)
    block.set(**orders)


def vector(block: Block, digit: int, higher: int = 0) -> None:
    """A vector, and what it has found."""
    for order in ({"opens": 1}, {"closes": 1}, {"decided": 1, "digit": digit, "higher": higher}):
        pulse(block, **order)


def aimed(digit: int, higher: int) -> tuple[int, int]:
    """By how much the window is raised, and the threshold's digit there: 7 to 13, where that can be known."""
    if higher or not digit:
        return (4, 1) if higher else (-4, 0)
    return next((raised, there) for raised in range(-3, 2)
                if 7 <= (there := digit << -raised if raised < 0 else digit >> raised) <= 13)


def test_next_window(block):
    """From every digit, and from random ones, up to both ends of the totals."""
    rng, tracking = numbers("tracking"), block.component.tracking
    for digits in (*([d] for d in range(DIGITS + 1)), rng.integers(0, DIGITS + 1, 200), [0] * 30, [DIGITS] * 30):
        block.reset()
        for digit in map(int, digits):
            higher, before = int(digit == DIGITS), block.get("window")
            digit %= DIGITS
            vector(block, digit, higher)
            raised, low = aimed(digit, higher)
            window = min(max(before + raised, tracking.lowest), tracking.highest)
            assert block.get("window") == window, (before, digit, higher)
            pulse(block, opens=1)
            if before + raised < tracking.lowest:
                low = digit
            assert block.get("low") == low and block.get("high") == min(low + SPAN - 1, DIGITS - 1), (digit, higher)


def test_ready_only_with_the_digit_found(block):
    vector(block, 9)
    for digit in range(DIGITS):
        for higher in (0, 1):
            vector(block, 9)
            vector(block, 9)
            assert block.get("low") == 9 and block.get("ready")
            vector(block, digit, higher)
            assert block.get("ready") == (not higher and 9 <= digit < 9 + SPAN), (digit, higher)


@pytest.mark.parametrize("at", range(-1, 5))
@pytest.mark.parametrize("what", ["spoil", *range(len(OTHERS))])
def test_not_ready_after_a_change(block, what, at):
    """The survivors or the job that will follow have changed, before a vector, in its midst, or after it."""
    for _ in range(2):
        vector(block, 9)
    assert block.get("ready")
    for step in range(-1, 5):
        if step == at and what != "spoil":
            block.set(next=OTHERS[what])
        pulse(block, **({0: {"opens": 1}, 2: {"closes": 1}, 3: {"decided": 1, "digit": 9}}.get(step, {})
                        | ({"spoil": 1} if step == at and what == "spoil" else {})))
        block.set(next=JOB)
    block.idle(2)
    # Survivors that have changed before a vector are those that it is about.
    assert block.get("ready") == (what == "spoil" and at < 0)
    block.idle(STEADY_CYCLES)
    vector(block, 9)
    assert block.get("ready")


@pytest.mark.parametrize("other", OTHERS)
def test_ready_only_for_the_job_that_was_said(block, other):
    for _ in range(2):
        vector(block, 9)
    block.set(follow=0, job=other)
    block.idle(2)
    assert not block.get("ready")
    block.set(job=JOB)
    block.idle(2)
    assert block.get("ready")
