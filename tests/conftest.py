"""What all tests have in common: how simulations are compiled, and in which order tests run."""

import os

# Compiling a simulation takes longer than a test runs it. One that names a level gets that one.
os.environ.setdefault("SPATTEN_OPTIMIZE", "0")

#: What takes longest to build begins first, while the other worker runs the rest.
FIRST = "tests/presets/"


def pytest_collection_modifyitems(items):
    """Presets first."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
