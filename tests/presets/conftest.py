"""Every test here runs once per preset, all of a preset in a row."""

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import PRESETS

#: How much each preset's simulation is optimised: `full` runs its tests for longer than it is compiled otherwise.
LEVELS = {"small": 0, "eighth": 1, "full": 1}


@pytest.fixture(scope="package", params=PRESETS)
def config(request) -> SpAttenConfig:
    """The preset."""
    return PRESETS[request.param]


@pytest.fixture(autouse=True)
def one_library(config, monkeypatch):
    """One library per preset for all tests, and for the commands that they call."""
    monkeypatch.setenv("SPATTEN_OPTIMIZE", str(LEVELS[config.name]))
