"""A broken contract ends a simulation, of whatever kind, with unit, cycle and promise; no product contains any."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import cocotb
import pytest

from spatten_hw.contract import contract, contracts
from spatten_hw.sim.harness.block import Block, RuleError
from spatten_hw.sim.harness.contracts import promises, reported
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.sim.testbench.streams import Bench
from spatten_hw.verilog import to_verilog

from .contracted import CONTRACTS, DEPTH, ROOM, Trusting

ROOT = Path(__file__).resolve().parents[2]
#: A contract in the generator's source.
CALL = re.compile(r"^\s+(?:contract|always_taken|stream_contract)\(", re.MULTILINE)
PAYLOADS = range(8)
#: Of no matter what.
MODULE = Trusting().elaborate(None)
MODULE._MustUse__silence = True


@pytest.fixture
def block():
    return Block(Trusting)


def test_kept_contracts_are_silent(block):
    block.send("i", list(PAYLOADS), stall=0.3)
    block.receive("o", stall=0.5)
    block.run(200, o=len(PAYLOADS))
    assert block.taken("o").integers() == list(PAYLOADS)


def test_a_broken_contract_ends_a_block_s_run(block):
    block.set(forget=1)
    block.send("i", list(PAYLOADS))
    with pytest.raises(RuleError, match=rf"^cycle {DEPTH}, block\.counted: contract broken: {ROOM} \(.*seed 1\)$"):
        block.run(200, o=len(PAYLOADS))
    assert block.cycle == DEPTH + 1


def test_after_a_reset_the_block_works_again(block):
    block.set(forget=1)
    block.send("i", list(PAYLOADS))
    with pytest.raises(RuleError):
        block.run(200, o=len(PAYLOADS))
    block.reset()
    block.set(forget=0)
    test_kept_contracts_are_silent(block)


@cocotb.test()
async def forgets(dut):
    bench = Bench(dut, ["i"], ["o"])
    dut.forget.value = int(os.environ["FORGET"])
    await bench.start()
    bench.send("i", list(PAYLOADS))
    sink = bench.receive("o")
    for _ in range(20):
        await bench.step()
    assert sink.items == list(PAYLOADS)


def test_a_broken_contract_fails_a_cocotb_bench(monkeypatch):
    monkeypatch.setenv("FORGET", "0")
    run_bench(Trusting(), __name__)
    monkeypatch.setenv("FORGET", "1")
    with pytest.raises(AssertionError, match=f"counted.*contract broken: {ROOM}"):
        run_bench(Trusting(), __name__)


def test_verilog_has_contracts_only_if_asked_to():
    product, simulated = to_verilog(Trusting(), "top"), to_verilog(Trusting(), "top", contracts=True)
    assert not promises(product) and "assert" not in product and "$write" not in product
    assert len(promises(simulated)) == CONTRACTS and promises(simulated)[0] == ("top_counted", ROOM)
    # An earlier conversion with contracts leaves nothing behind.
    assert to_verilog(Trusting(), "top") == product


def test_blocks_converted_by_other_processes_have_theirs():
    assert to_verilog(Trusting(), "top", 2, contracts=True) == to_verilog(Trusting(), "top", contracts=True)


def test_an_assertion_written_in_another_way_is_not_lost():
    with pytest.raises(ValueError, match="not written as the backend used to"):
        reported("module a;\n  always @(posedge clk)\n    assert (b);\nendmodule\n")


def test_the_documentation_counts_them():
    """`docs/architecture.md` says how many each folder has: as written, in loops once."""
    written = Counter()
    for path in (ROOT / "spatten_hw").rglob("*.py"):
        if path.name != "contract.py":
            folder = path.relative_to(ROOT / "spatten_hw").parts[0].removesuffix(".py")
            written[folder] += len(CALL.findall(path.read_text()))
    table = re.findall(r"^\| (\w+) \| (\d+) \|", (ROOT / "docs/architecture.md").read_text().split("## Contracts")[1],
                       re.MULTILINE)
    assert {folder: int(number) for folder, number in table} == {f: n for f, n in written.items() if n}


@pytest.mark.parametrize("promise", ["", 'a "quote"', "100 %", "back\\slash", "two\nlines", "{field}"])
def test_promises_are_plain_sentences(promise):
    with contracts(), pytest.raises(ValueError, match="a promise is a sentence"):
        contract(MODULE, 1, promise)
