"""Headers compiled once are taken for every small design, and a failed bench shows what it compared."""

import os
import subprocess

import cocotb
import pytest
from cocotb.triggers import Timer

from spatten_hw.sim.harness import asked, build
from spatten_hw.sim.harness.block_build import build_block
from spatten_hw.sim.harness.errors import ToolError
from spatten_hw.sim.harness.precompiled import Headers
from spatten_hw.sim.testbench import runner
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.stream.skid import HalfBuffer
from tests.integration.builds import LEAST


@cocotb.test()
async def compares(dut):
    await Timer(1, "ns")
    expected = 42
    assert expected == len(dut.rst) + 1


def test_a_failed_assertion_shows_its_values():
    with pytest.raises(AssertionError, match="assert 42 == "):
        run_bench(HalfBuffer(5), __name__)


def test_the_bench_was_compiled_with_them(tmp_path, monkeypatch):
    """The compiler says why it does not take a compiled header that is there (-Winvalid-pch)."""
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    with pytest.raises(AssertionError):
        run_bench(HalfBuffer(5), __name__)
    log = next(tmp_path.glob("bench/*/build.log")).read_text()
    assert "-include" in log and "warning" not in log
    assert not runner._headers(False, "-O0").missing


def test_a_design_that_was_compiled_otherwise_reads_the_text(tmp_path):
    """A wrong header costs time, and nothing else."""
    headers = Headers(tmp_path, "-O0")
    headers.path.write_text("#include <cstdint>\n")
    (tmp_path / "a.cpp").write_text("int main() { return static_cast<uint8_t>(256); }\n")
    for options in (["-DOTHER=1"], ["-O2"]):
        subprocess.run(["g++", "-x", "c++-header", str(headers.path), "-o", f"{headers.path}.gch", "-DOTHER=2"],
                       check=True)
        subprocess.run(["g++", *options, "-include", str(headers.path), "-c", "a.cpp"], cwd=tmp_path, check=True)
    assert not headers.missing


@pytest.mark.parametrize("variable", ["SPATTEN_OPTIMIZE", "SPATTEN_OPTIMIZE_BLOCKS"])
@pytest.mark.parametrize("text,level", [("", None), ("0", 0), ("3", 3)])
def test_the_level_that_the_environment_asks_for(text, level, variable, monkeypatch):
    monkeypatch.setenv(variable, text)
    assert asked.asked_level(variable) == level


def test_a_level_that_is_none(monkeypatch):
    monkeypatch.setenv("SPATTEN_OPTIMIZE", "fast")
    with pytest.raises(ToolError, match="SPATTEN_OPTIMIZE = fast: must be 0, 1, 2 or 3"):
        asked.asked_level()
    monkeypatch.setenv("SPATTEN_OPTIMIZE_BLOCKS", "4")
    with pytest.raises(ToolError, match="SPATTEN_OPTIMIZE_BLOCKS = 4: must be 0, 1, 2 or 3"):
        build_block(HalfBuffer, 5)


@pytest.mark.parametrize("text,on", [("", False), ("0", False), ("1", True)])
def test_contracts_are_asked_for(text, on, monkeypatch):
    """And a simulation without them is another one."""
    monkeypatch.setenv("SPATTEN_CONTRACTS", text)
    assert asked.asked_contracts() == on
    assert build._generator_hash(LEAST, False, 1, True) != build._generator_hash(LEAST, False, 1, False)


def test_contracts_are_asked_for_wrongly(monkeypatch):
    monkeypatch.setenv("SPATTEN_CONTRACTS", "yes")
    with pytest.raises(ToolError, match="SPATTEN_CONTRACTS = yes: must be 1"):
        asked.asked_contracts()


def test_tests_look_at_contracts():
    """`tests/conftest.py` asks for them, unless whoever started the tests does not."""
    assert asked.asked_contracts() or os.environ["SPATTEN_CONTRACTS"] == "0"
