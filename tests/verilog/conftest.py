"""The smallest preset, generated once."""

import pytest

from spatten_hw.generate import generate
from spatten_hw.presets import SMALL


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Folder with the generated files of `small`."""
    folder = tmp_path_factory.mktemp("small") / "out"
    generate(SMALL, folder)
    return folder
