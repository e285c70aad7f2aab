"""The order of answers at an AXI port, with more reads under an id than the accelerator ever has (`port_order.cpp`)."""

import os
import subprocess
from pathlib import Path

import pytest

from spatten_hw.sim.dram.timing import DDR4_2400, HBM2
from spatten_hw.sim.harness.build import HERE

SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("order") / "port_order"
    source = Path(__file__).with_name("port_order.cpp")
    subprocess.run(["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", f"-I{HERE}", source, "-o", path], check=True)
    return path


def run(program, timing, *options):
    """(Answers out of the order of acceptance, most reads in flight) of 3,000."""
    print(f"SEED={SEED}")
    done = subprocess.run([program, *map(str, (*options, SEED))], input=" ".join(map(str, timing.words)),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize("timing", [HBM2, DDR4_2400], ids=lambda t: t.name)
@pytest.mark.parametrize("reorder, interleave, extra", [(0, 0, 0), (0, 0, 30), (1, 0, 0), (0, 1, 10), (1, 1, 50)])
def test_answers_of_an_id_stay_in_order(program, timing, reorder, interleave, extra):
    late, _ = run(program, timing, reorder, interleave, extra)
    assert late > 100  # ids do overtake each other


def test_a_full_controller_accepts_no_more(program):
    """Reads in flight: those in front of the controller, in its queue, and some 20 on their way back."""
    small, large = (run(program, HBM2.replace(front_queue=n, read_queue=n), 0, 0, 0)[1] for n in (2, 64))
    assert small < 24 and 128 <= large < 160, (small, large)
