"""Rotation of lanes: every lane, by every amount."""

import pytest
from amaranth import Cat, Const, unsigned

from spatten_hw.primitives.rotate import rotated

from .expressions import evaluate


@pytest.mark.parametrize(("count", "width"), [(1, 3), (2, 3), (4, 2), (8, 1)])
def test_lanes_go_up(count, width):
    def lanes(value):
        return [value >> width * n & (1 << width) - 1 for n in range(count)]
    # Amounts beyond the number of lanes go round.
    got = evaluate(unsigned(count * width), lambda x, by: Cat(rotated(
        [x.word_select(n, width) for n in range(count)], by)), range(2 * count))
    for (value, by), result in got.items():
        before, after = lanes(value), lanes(result)
        assert after == [before[(s - by) % count] for s in range(count)]


def test_only_powers_of_two():
    with pytest.raises(ValueError, match="power of two"):
        rotated([0, 1, 0], Const(0))
