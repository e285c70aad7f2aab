"""Jobs measured once more give the cycles of the table."""

import pytest

from spatten_hw.presets import PRESETS
from spatten_hw.sim.estimate.cycles import job_cycles
from spatten_hw.sim.estimate.draw import draw_plan, preset_of
from spatten_hw.sim.estimate.errors import HELD_OUT, WANTED
from spatten_hw.sim.estimate.measure import LATENCY, measure
from spatten_hw.sim.estimate.table import Table
from spatten_hw.sim.harness.transport import VerilatedTransport

#: Short ones, generation and prompts, of `small`.
SOME = (15, 33, 63, 93, 105)


def again(preset, seeds):
    table = Table.read()
    with VerilatedTransport(PRESETS[preset], latency=LATENCY) as transport:
        for seed in seeds:
            found, known = measure(draw_plan(seed), transport), table.plans[seed]
            assert (found.cycles, found.queued) == (known.cycles, known.queued), f"seed {seed}"
            yield found


def test_some():
    within = [abs(estimated / cycles - 1) <= WANTED
              for found in again("small", SOME)
              for estimated, cycles in zip(job_cycles(found.work, PRESETS["small"]), found.cycles, strict=True)]
    assert sum(within) >= 0.8 * len(within)


@pytest.mark.nightly
@pytest.mark.parametrize("preset", PRESETS)
def test_all_held_out(preset):
    assert [*again(preset, [s for s in HELD_OUT if preset_of(s) == preset])]
