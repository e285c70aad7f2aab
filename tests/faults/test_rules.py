"""What the accelerator promises on its memory ports (`sim/harness/rules.py`): it is held to it, and none is idle."""

import dataclasses

import pytest

from spatten_hw.host.driver import Driver
from spatten_hw.sim.harness.library import ProtocolError
from spatten_hw.sim.harness.rules import rules_of
from spatten_hw.write.writer import ADDRESS_DEPTH

from ..integration.builds import QUAD, transport
from .jobs import Solo, assert_right, finish

LIMIT = 50_000
RULES = rules_of(QUAD)


def run(port, held="", **rules):
    """More output rows than may be unanswered; writes held for a while, `rules` that differ from the promises."""
    port.check_design(dataclasses.replace(RULES, **rules))
    driver = Driver(QUAD, port)
    job = Solo(QUAD, 30, tokens=16, heads=5, dim=16, keep_tokens=[16])
    job.submit(driver, 1)
    if held:
        port.trouble(**{held: True})
        assert not port.wait_irq(8000)
        port.trouble()
    assert finish(driver, 1, LIMIT) == [(1, 0)]
    assert_right(driver, [job])


@pytest.mark.parametrize("held", ["", "hold_aw", "hold_w", "hold_b"])
def test_promises_are_kept(held):
    # Writes are held for longer than a simulation waits before it takes a hang for one.
    with transport(QUAD, patience=0) as port:
        run(port, held)


@pytest.mark.parametrize("held, rules, message", [
    ("", {"longest_read": RULES.longest_read - 1}, "AR at .* beats, this build needs at most"),
    ("", {"longest_write": RULES.longest_write - 1}, "AW at .* beats, this build needs at most"),
    ("", {"read_ids": RULES.read_ids - 1}, "AR at .* is not below"),
    ("", {"write_ids": 1}, "AW at .*: id 1 is not below 1"),
    ("hold_b", {"open_writes": RULES.open_writes - 1}, "AW at .* bursts are unanswered"),
    ("hold_aw", {"write_lead": ADDRESS_DEPTH - 1}, "W: data of 4 bursts before their addresses"),
])
def test_no_promise_is_wider_than_need_be(held, rules, message):
    with transport(QUAD) as port, pytest.raises(ProtocolError, match=message):
        run(port, held, **rules)
