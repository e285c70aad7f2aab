"""Indices that go round."""

import pytest
from amaranth import unsigned

from spatten_hw.primitives.ring import next_in_ring

from .expressions import evaluate


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 7, 8])
def test_next_in_ring(depth):
    got = evaluate(unsigned(3), lambda x, _: next_in_ring(x, depth))
    assert [got[v, 0] for v in range(depth)] == [(v + 1) % depth for v in range(depth)]


def test_a_depth_that_is_a_signal():
    got = evaluate(unsigned(3), next_in_ring, amounts=range(8))
    for depth in range(1, 8):
        assert [got[v, depth] for v in range(depth)] == [(v + 1) % depth for v in range(depth)]
