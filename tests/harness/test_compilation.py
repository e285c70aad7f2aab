"""Verilator and the C++ compiler may be wrong, too: the same random layers on a design compiled with all that makes it
fast and on one compiled with nothing of it."""

import ctypes
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.harness.build import TOP, build_library
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.sim.harness.verilator import ONE_FILE, SOUND, call, verilate, verilator_env
from spatten_hw.top import Top
from spatten_hw.verilog import to_verilog
from tests.integration.builds import LEAST, random_workload

SEED = int(os.environ.get("SEED", "1"))
RUNS = 6
CYCLE_LIMIT = 400_000
HERE = Path(__file__).parent
#: Digits of `counted.v`.
DIGITS = 16
#: Has the line-rate engine, whose histograms the compiler computed wrong in two presets.
LINE = LEAST.replace(name="line", max_tokens=64, topk_lanes=4, topk="linerate", chunk_queries=0)
#: Verilator's options and the level of g++, by name. The later of two levels of Verilator counts. Modules are still
#: joined in the plain one: apart they are 800 files, which take eight times as long to compile.
COMPILED = {"fast": ((), 3), "plain": (("-O0", "-finline"), 0)}


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


@pytest.mark.parametrize("level", range(4))
def test_a_sum_of_comparisons_in_cpp(level, tmp_path):
    """What g++ 12 computes wrong without `SOUND`."""
    program = tmp_path / "counted"
    subprocess.run(["g++", f"-O{level}", SOUND, HERE / "counted.cpp", "-o", program], check=True)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "12\n"


def test_a_sum_of_comparisons_in_verilog(tmp_path):
    """The same through Verilator, as every simulation is compiled."""
    shutil.copy(HERE / "counted.v", tmp_path)
    digits = ", ".join(f"&top.d{i}" for i in range(DIGITS))
    (tmp_path / "main.cpp").write_text(f'''#include "Vcounted.h"
extern "C" __attribute__((visibility("default"))) int counted(const unsigned char* digits) {{
    static Vcounted top;
    CData* ports[] = {{{digits}}};
    for (int i = 0; i < {DIGITS}; ++i) *ports[i] = digits[i];
    top.clk = 0, top.eval();
    top.clk = 1, top.eval();
    return top.count;
}}
double sc_time_stamp() {{ return 0; }}
''')
    env = verilator_env(opt_fast="-O2", opt_slow="-O0")
    verilate(tmp_path, "counted", "main.cpp", env, "", *ONE_FILE)
    call(["make", "-f", "Vcounted.mk"], tmp_path / "obj", env, tmp_path / "make.log")
    library = ctypes.CDLL(str(tmp_path / "libcounted.so"))
    rng = random.Random(SEED)
    for _ in range(100):
        values = bytes(rng.randrange(16) for _ in range(DIGITS))
        assert library.counted(values) == sum(value >= 4 for value in values), f"SEED={SEED} {values.hex()}"
