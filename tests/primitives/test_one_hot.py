"""Selection by one bit of many, and finding it: against Python, for every input of some bits."""

import pytest
from amaranth import Cat, Const, Module, Signal, unsigned

from spatten_hw.primitives.one_hot import (
    any_of,
    lowest_index,
    lowest_set,
    one_hot_index,
    one_hot_mux,
    without_lowest,
)

from .expressions import evaluate

WIDTHS = [1, 2, 3, 5, 8]


def lowest(bits: int) -> int:
    """Number of the lowest bit that is set; 0 if none is."""
    return (bits & -bits).bit_length() - 1 if bits else 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_lowest_bit(width):
    assert evaluate(unsigned(width), lambda x, _: lowest_set(x)) == {(v, 0): v & -v for v in range(1 << width)}
    rest = evaluate(unsigned(width), lambda x, _: without_lowest(x))
    assert rest == {(v, 0): v & (v - 1) if v else 0 for v in range(1 << width)}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_selection_of_one(width):
    values = [7 * n + 3 & 31 for n in range(width)]
    muxed = evaluate(unsigned(width), lambda x, _: one_hot_mux(x, [Const(v, 5) for v in values]))
    index = evaluate(unsigned(width), lambda x, _: one_hot_index(x))
    for n, value in enumerate(values):
        assert (muxed[1 << n, 0], index[1 << n, 0]) == (value, n)
    assert (muxed[0, 0], index[0, 0]) == (0, 0)


def test_a_selection_widens_to_the_widest():
    got = evaluate(unsigned(2), lambda x, _: one_hot_mux(x, [x, Cat(x, x)]))
    assert [got[v, 0] for v in (0, 1, 2)] == [0, 1, 0b1010]


def test_a_selection_of_other_than_its_values():
    with pytest.raises(ValueError, match="2 bits select one of 3 values"):
        one_hot_mux(Signal(2), [Signal(), Signal(), Signal()])


@pytest.mark.parametrize("width", WIDTHS)
def test_any_of(width):
    assert evaluate(unsigned(width), lambda x, _: any_of(x)) == {(v, 0): int(v > 0) for v in range(1 << width)}


@pytest.mark.parametrize("width", [1, 5, 8])
def test_the_lowest_index(width):
    m = Module()
    got = evaluate(unsigned(width), lambda x, _: lowest_index(m, x, "lowest"), module=m)
    assert got == {(v, 0): lowest(v) for v in range(1 << width)}
