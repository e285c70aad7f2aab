"""One small configuration with two memory ports, generated once with every package."""

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.generate import generate
from spatten_hw.package import PACKAGES

CONFIG = SpAttenConfig(
    name="tiny two", multipliers=16, chunk=4, max_dim=16, max_tokens=32, sram_tokens=16, max_heads=4, max_group=2,
    slots=4, topk_lanes=4, channels=2, axi_data_bits=64, reads=4, pool_beats=16)


@pytest.fixture(scope="session")
def packaged(tmp_path_factory):
    """(configuration, folder, summary) of the generated files."""
    folder = tmp_path_factory.mktemp("packaged") / "out"
    return CONFIG, folder, generate(CONFIG, folder, tuple(PACKAGES))
