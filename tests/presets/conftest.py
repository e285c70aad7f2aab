"""Every test here runs once per preset, all of a preset in a row."""

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import PRESETS


@pytest.fixture(scope="package", params=PRESETS)
def config(request) -> SpAttenConfig:
    """The preset."""
    return PRESETS[request.param]
