"""The choice of `make quick` names what there is, and keeps one case of each test."""

from pathlib import Path

import pytest

from tests import quick

TESTS = Path(quick.__file__).parent


def test_first_cases():
    names = ["tests/host/test_a.py::test_x[1]", "tests/host/test_a.py::test_x[2]", "tests/fetch/test_b.py::test_y[1]",
             "tests/fetch/test_b.py::test_y[2]", "tests/fetch/test_b.py::test_z", "tests/boards/test_c.py::test_w"]
    assert quick.chosen(names) == {names[0], names[1], names[2], names[4]}


@pytest.mark.parametrize("folder", [*quick.WHOLE, *quick.FIRST_CASE])
def test_folders_are_there(folder):
    assert list((TESTS / folder).glob("test_*.py"))


@pytest.mark.parametrize("name", [*quick.NAMED, *quick.SLOW])
def test_named_tests_are_there(name):
    file, _, rest = name.partition("::")
    text = (TESTS.parent / file).read_text()
    assert not rest or f"def {rest.split('[')[0]}(" in text
