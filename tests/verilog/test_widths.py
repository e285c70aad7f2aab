"""No assignment of the generator drops bits silently (`spatten_hw/primitives/widths.py`): a look at all of them."""

import pytest
from amaranth.hdl import Const, Fragment, Value
from amaranth.hdl._ast import Assign, Operator, Switch, SwitchValue

from spatten_hw.accelerator import Accelerator
from spatten_hw.presets import PRESETS
from spatten_hw.shared import VerilogPlatform

from ..integration.builds import BUILDS
from ..integration.corners import CORNERS, ONE

#: A row of the top-k engine has more lanes than there are tokens.
EMPTY_LANES = [ONE.replace(name=f"empty lanes, {engine}", topk=engine, topk_lanes=64)
               for engine in ("quickselect", "linerate")]


def assignments(statements):
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement
        elif isinstance(statement, Switch):
            for _, below, _ in statement.cases:
                yield from assignments(below)


def width(value: Value) -> int:
    """Bits of `value` without the carries of its last sums, which a register that holds every count does not need."""
    if isinstance(value, Operator) and value.operator in "+-" and len(value.operands) == 2:
        return max(map(width, value.operands))
    if isinstance(value, SwitchValue):
        return max(width(result) for _, result in value.cases)
    if isinstance(value, Const) and value.value >= 0:
        return max(1, value.value.bit_length())
    return len(value)


def narrowed(fragment: Fragment):
    """Where in `fragment` and all below it a number is given to something narrower."""
    for statements in fragment.statements.values():
        for assign in assignments(statements):
            if width(assign.rhs) > len(assign.lhs) > 0:     # of no bits: the index of what there is one of
                yield "{}:{}".format(*assign.src_loc)
    for below, _, _ in fragment.subfragments:
        yield from narrowed(below)


def looked_at(config):
    """Every block of a build once: the narrowed assignments in it."""
    platform, done = VerilogPlatform("look"), set()
    found = list(narrowed(Fragment.get(Accelerator(config), platform)))
    while new := platform.keys.keys() - done:
        for key in new:
            found += narrowed(Fragment.get(key[0](*key[1:]), platform))
        done |= new
    assert len(done) > 12
    return sorted({place for place in found if "amaranth/lib" not in place})


@pytest.mark.parametrize("config", [*PRESETS.values(), *BUILDS.values(), *CORNERS.values(), *EMPTY_LANES],
                         ids=lambda config: config.name)
def test_no_assignment_drops_bits(config):
    assert looked_at(config) == []
