"""Verilator and the C++ compiler may be wrong, too: the same random layers on a design compiled with all that makes it
fast and on one compiled with nothing of it."""

import os
import random

import pytest

from sim.engine import run_workload
from sim.harness.build import TOP, build_library
from sim.harness.transport import VerilatedTransport
from sim.harness.verilator import SOUND
from spatten_hw.host.workload import make_workload
from spatten_hw.top import Top
from spatten_hw.verilog import to_verilog
from tests.integration.builds import LEAST, random_workload

SEED = int(os.environ.get("SEED", "1"))
RUNS = 6
CYCLE_LIMIT = 400_000
#: Has the line-rate engine, which Verilator's data-flow pass computed wrong in two presets.
LINE = LEAST.replace(name="line", max_tokens=64, topk_lanes=4, topk="linerate")
#: Verilator's options and the level of g++, by name. The later of two levels of Verilator counts.
COMPILED = {"fast": ((), 1), "plain": (("-O0",), 0)}


@pytest.fixture(scope="module")
def libraries():
    verilog = to_verilog(Top(LINE, probe=True), TOP, contracts=True)
    return {name: build_library(verilog, LINE.channels, LINE.axi_data_bits, probe=LINE, optimize=level, options=options)
            for name, (options, level) in COMPILED.items()}


@pytest.mark.parametrize("run", range(RUNS))
def test_a_fast_simulation_does_what_a_plain_one_does(libraries, run):
    """Every output, importance, count of bytes and cycle."""
    rng = random.Random(f"{SEED} compiled {run}")
    workload = make_workload(*random_workload(rng, LINE))
    found = {}
    for name, library in libraries.items():
        with VerilatedTransport(LINE, library=library) as port:
            result = run_workload(workload, LINE, "rtl", lambda _, port=port: port, cycle_limit=CYCLE_LIMIT)
            assert result.bit_exact, f"SEED={SEED}, {name}: {result.mismatches}"
            found[name] = (result.cycles, result.bytes)
    assert found["fast"] == found["plain"]
    assert libraries["fast"] != libraries["plain"]


def test_the_pass_that_was_wrong_stays_off():
    """docs/verification.md tells of it; whoever takes the option away simulates all presets first."""
    assert "-fno-dfg" in SOUND
