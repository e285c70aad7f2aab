"""What no reset sets begins at random, differently with every seed, and the design needs nothing else."""

from __future__ import annotations

import re

import cocotb
import pytest
from cocotb.triggers import Timer

from spatten_hw.presets import PRESETS
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import TOP
from spatten_hw.sim.harness.power_up import KEPT, random_start, without_reset
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.top import Top
from spatten_hw.verilog import to_verilog

from .contracted import Unreset

WORDS = range(4)


def start(seed: int) -> tuple[int, ...]:
    """Counter with reset, register without, and memory words, after the reset."""
    block = Block(Unreset, start_seed=seed)
    words = []
    for address in WORDS:
        block.set(address=address)
        words.append(block.get("word"))
    assert block.get("counted") == 0
    return (block.get("data"), *words)


def test_every_seed_begins_otherwise():
    starts = {seed: start(seed) for seed in (1, 2, 3)}
    assert all(len({s[n] for s in starts.values()}) == len(starts) for n in range(len(WORDS) + 1))
    assert start(2) == starts[2]


def test_the_seed_is_the_environment_s(monkeypatch):
    monkeypatch.setenv("SEED", "3")
    assert start(None) == start(3)


@pytest.mark.parametrize("seed", [0, -1, 1 << 31])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match="must be 1"):
        Block(Unreset, start_seed=seed)


@cocotb.test()
async def shows(dut):
    dut.rst.value = 1
    dut.clk.value = 0
    await Timer(1, "ns")
    dut.clk.value = 1
    await Timer(1, "ns")
    dut._log.info("begins with %08x", int(dut.data.value))
    assert int(dut.data.value) != 0 and int(dut.counted.value) == 0


def test_cocotb_benches_begin_at_random():
    run_bench(Unreset(), __name__)


def test_what_keeps_its_initial_value():
    text = to_verilog(Unreset(), "top")
    assert [name.split(".")[1] for name in without_reset(text)] == ["data"]
    stripped = random_start(text)
    assert "reg [31:0] data = {1{$urandom}};" in stripped and "reg [31:0] counted = 32'd0;" in stripped
    assert "memory[zeroed] = {1{$urandom}};" in stripped and stripped.count("$urandom") == 2


@pytest.fixture(scope="module")
def small():
    return to_verilog(Top(PRESETS["small"], probe=True), TOP, 2)


def test_no_register_of_the_accelerator_needs_an_initial_value_that_no_reset_repeats(small):
    """Its memories neither: none of them holds a table. What is exempt is listed, with its reason."""
    free = without_reset(small)
    assert len(free) > 800 and not KEPT
    started = random_start(small)
    random = [line for line in started.splitlines() if "$urandom" in line]
    reads = [line for line in random if re.match(r"  reg .*_\d+_ = ", line)]
    # Memories are set in a loop each, but for short ones.
    short = re.findall(r"initial begin\n.*?  end", small, re.DOTALL)
    memories = small.count("initial begin") - len(short) + sum(block.count(";") for block in short)
    assert len([line for line in random if line.startswith("  reg")]) == len(free) + len(reads)
    assert len(random) == len(free) + len(reads) + memories
