"""What all tests have in common: how simulations are compiled, in which order tests run, which are quick."""

import os

import pytest

from .generated import generated as generated
from .quick import chosen

# Compiling a simulation takes longer than a test runs it. Of a tiny accelerator level 1 takes half as long again as 0,
# and runs three times as fast. Blocks run for so short a time that even this does not pay.
os.environ.setdefault("SPATTEN_OPTIMIZE", "1")
os.environ.setdefault("SPATTEN_OPTIMIZE_BLOCKS", "0")
# Every simulated accelerator looks at what its blocks promise one another.
os.environ.setdefault("SPATTEN_CONTRACTS", "1")

#: What takes longest to build begins first, while the other worker runs the rest.
EARLY = "tests/presets/"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks the quick tests, before -m is looked at; presets first."""
    quick = chosen(item.nodeid for item in items)
    for item in items:
        if item.nodeid in quick:
            item.add_marker("quick")
        # On a busy machine the first of them takes longer to compile `full` than a test has.
        if item.nodeid.startswith(EARLY):
            item.add_marker(pytest.mark.timeout(2400))
    items.sort(key=lambda item: not item.nodeid.startswith(EARLY))
