"""Every test here runs once per preset, all of a preset in a row."""

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import PRESETS


@pytest.fixture(scope="package", params=PRESETS)
def config(request) -> SpAttenConfig:
    """The preset."""
    return PRESETS[request.param]


@pytest.fixture(autouse=True)
def no_digest(monkeypatch):
    """Benches name the product's Verilog in their JSON: `full` would be generated a second time for it, and nothing
    here looks at it (tests/cli/test_cli.py does)."""
    monkeypatch.setattr("spatten_hw.sim.bench.options.verilog_digest", lambda _: "not asked for")
