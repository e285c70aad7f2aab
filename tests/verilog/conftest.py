"""Files of a preset that several tests look at."""

import pytest


@pytest.fixture(scope="session")
def small(generated):
    """Folder with the generated files of `small`."""
    return generated("small")[0]
