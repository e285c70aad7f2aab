"""The model takes any configuration: what must hold whatever the build."""

import contextlib

import numpy as np
import pytest

from spatten_hw.config import ConfigError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.dram.timing import HBM2_64B
from spatten_hw.sim.estimate import Work, estimate, sequence
from spatten_hw.sim.soak.draw import draw

#: Jobs of all kinds, of the least sizes that every build takes.
KINDS = {"generate": [1, 1, 1, 0, 0, 0], "causal": [0, 0, 0, 0, 1, 1], "flat": [0, 0.5, 1, 0, 0.3, 1],
         "k_lsb_bits": [0, 4, 4, 0, 4, 4], "keep_values": [1, 0.5, 0.3, 1, 0.4, 0.4],
         "keep_tokens": [1, 1, 0.6, 1, 1, 0.6]}


def configurations(count):
    found, seed = [], 0
    while len(found) < count:
        with contextlib.suppress(ConfigError, TypeError, ValueError):
            found.append(draw(seed).config())
        seed += 1
    return found


@pytest.mark.parametrize("config", configurations(40), ids=lambda c: c.name)
def test_any(config):
    tokens = min(config.max_tokens, 8)
    work = Work.expected(tokens=tokens, heads=1, dim=config.chunk, k_bits=4, q_bits=4, v_lsb_bits=0, **KINDS)
    found = estimate(work, config)
    assert np.all(np.isfinite(found.cycles)) and np.all(found.cycles > 50)
    for name in ("Q×K", "channels"):
        assert np.all(found.cycles >= found.busy[name]), name
    assert sequence(work, config) <= 1.05 * found.cycles.sum()
    assert np.all(estimate(work, config, HBM2_64B).cycles >= found.cycles)


def test_more_hardware_takes_no_longer():
    work = Work.expected(tokens=[1000, 300], heads=12, dim=64, generate=[1, 0], k_bits=8)
    eighth, full = (estimate(work, PRESETS[name]).cycles for name in ("eighth", "full"))
    assert np.all(full < eighth / 6)
    wide = estimate(work, PRESETS["full"].replace(channels=8)).cycles
    assert wide[0] > 1.7 * full[0] and wide[1] < 1.05 * full[1]
