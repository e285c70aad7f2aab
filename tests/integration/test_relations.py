"""Every relation of sizes that the hardware depends on is had by a build that runs random cascades."""

import pytest

from spatten_hw.presets import PRESETS

from .builds import BUILDS
from .corners import CORNERS
from .relations import RELATIONS

#: What test_cascades.py and tests/presets/test_memory.py run random cascades on.
SIMULATED = {**BUILDS, **CORNERS, **PRESETS}


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_build_has_it(relation):
    holds = RELATIONS[relation]
    assert any(holds(c) for c in SIMULATED.values()), f"no simulated build has: {relation}; add one to corners.py"


@pytest.mark.parametrize("name", CORNERS)
def test_no_corner_is_there_for_nothing(name):
    """Each has a relation that no other build has."""
    others = [c for other, c in SIMULATED.items() if other != name]
    assert any(holds(CORNERS[name]) and not any(map(holds, others)) for holds in RELATIONS.values())


def test_no_relation_is_void():
    """None holds for all builds: such a one would look at nothing."""
    for relation, holds in RELATIONS.items():
        assert not all(holds(c) for c in SIMULATED.values()), relation
