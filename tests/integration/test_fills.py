"""Fills of the SRAMs from the slices' own channels, where their order in time is not the order they were asked for."""

import numpy as np
import pytest

from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload

from .builds import QUAD, transport

#: Four slices with so few reads in flight that a fill outlasts the query that asked for it.
FEW = QUAD.replace(name="few", reads=2)


@pytest.mark.parametrize("tokens", [4, 16])
@pytest.mark.parametrize("latency", [16, 60, 300])
def test_v_lsbs_asked_for_while_msbs_are_filled(tokens, latency):
    """A threshold of 1 asks for the LSBs of every row, so V's LSBs are wanted at once, into the half that its MSBs
    are still filling."""
    numbers = np.random.default_rng(1)
    arrays = {name: numbers.normal(size=(2, 2, tokens, FEW.chunk)) for name in "qkv"}
    job = {"stage": "summarise", "k_bits": [6, 4], "v_bits": [6, 4], "q_bits": 4, "threshold": 1.0}
    with transport(FEW, latency=latency) as port:
        report = run_workload(make_workload(arrays, job), FEW, "rtl", lambda _: port, cycle_limit=200_000)
    assert report.bit_exact, report.mismatches
