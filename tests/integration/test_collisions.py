"""Memories that say that no read of theirs meets a write may give anything where one does (`NO_COLLISIONS`).

Block RAM of an FPGA then gives neither the old nor the new word, a simulation always the old one. Here it gives that
with every bit inverted, in every build, and nothing changes.
"""

import os
import random
import re

import pytest

from sim.engine import run_workload
from sim.harness.build import TOP, build_library
from sim.harness.memory_options import HOSTILE
from sim.harness.transport import VerilatedTransport
from spatten_hw.host.workload import make_workload
from spatten_hw.top import Top
from spatten_hw.verilog import to_verilog

from .builds import BUILDS, OPTIMIZE, random_workload

SEED = int(os.environ.get("SEED", "1"))
#: Workloads per build.
RUNS = 12
CYCLE_LIMIT = 400_000
#: A memory with the attribute, as it is written: its write port, its register of what is read, that read.
MEMORY = re.compile(
    r"\(\* no_rw_check = 32'd1 \*\)\n(?:  \(\*.*\*\)\n)*  reg (?:\[\d+:0\] )?(?P<name>\S+) +\[\d+:0\];\n"
    r"(?:  initial begin.*\n(?:    .*\n)*  end\n)?"
    r"  always @\(posedge clk\) begin\n    if \((?P<enable>.*)\)\n      (?P=name) *\[(?P<to>.*)\] <= .*;\n  end\n"
    r"  reg (?:\[\d+:0\] )?\S+;\n  always @\(posedge clk\) begin\n(?:    if \(.*\) begin\n)? +\S+ <= "
    r"(?P<read>(?P=name) *\[(?P<at>.*)\]);\n")


def poisoned(verilog: str) -> tuple[str, list[str]]:
    """`verilog` in which reads that meet a write give the old word's complement, and the memories concerned."""
    names = []

    def poison(match: re.Match) -> str:
        names.append(match["name"])
        before, after = match[0][:match.start("read") - match.start()], match[0][match.end("read") - match.start():]
        return (f"{before}(({match['enable']}) && ({match['to']}) == ({match['at']})) ? ~{match['read']} : "
                f"{match['read']}{after}")

    return MEMORY.sub(poison, verilog), names


@pytest.mark.parametrize("name", BUILDS)
def test_nothing_that_meets_a_write_is_looked_at(name):
    config = BUILDS[name]
    verilog = to_verilog(Top(config, probe=True), TOP, contracts=True)
    text, names = poisoned(verilog)
    assert len(names) == verilog.count("no_rw_check") == text.count("? ~")
    assert {"out_memory", "key_buffer", "read_bank_0"} <= set(names)
    library = build_library(text, config.channels, config.axi_data_bits, probe=config, optimize=OPTIMIZE)
    for run in range(RUNS):
        arrays, job = random_workload(random.Random(f"{SEED} collisions {name} {run}"), config)
        options = HOSTILE | {"seed": run + 1} if run % 2 else {}
        with VerilatedTransport(config, library=library, **options) as port:
            result = run_workload(make_workload(arrays, job), config, "rtl", lambda _, port=port: port,
                                  cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, f"SEED={SEED} run {run}: {job} {arrays['q'].shape}: {result.mismatches}"
