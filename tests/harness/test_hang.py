"""A hang is noticed within thousands of cycles and named: memories that owe something, handshakes that are cut."""

import re

import numpy as np
import pytest
from amaranth.lib import wiring

from spatten_hw import accelerator
from spatten_hw.cli import main
from spatten_hw.control.sequencer import Sequencer
from spatten_hw.errors import UserError
from spatten_hw.host.driver import Driver
from spatten_hw.matmul.prob_value import ProbValueUnit
from spatten_hw.shared import Shared
from spatten_hw.sim import engine
from spatten_hw.sim.harness.build import build_library
from spatten_hw.sim.harness.hang import PATIENCE, HangError, slow_patience
from spatten_hw.sim.harness.library import HarnessError
from spatten_hw.stream.skid import SkidBuffer
from spatten_hw.top import Top
from spatten_hw.verilog import to_verilog
from spatten_hw.write.requantise import Requantiser
from tests.faults.jobs import Solo, assert_right, finish
from tests.integration.builds import LEAST, QUAD, transport

#: Cycles of everything but waiting: a job of `Solo` takes 2,000.
ROOM = 4000
#: A job so long that its hang is in its middle.
LONG = {"tokens": 30, "queries": 1, "heads": 4}


def hang(port, *, tag=5, **job):
    """The hang of a job, and how many cycles after its start it was noticed."""
    solo = Solo(port.config, 1, **(LONG | job))
    driver = Driver(port.config, port)
    solo.submit(driver, tag)
    start = port.cycles
    with pytest.raises(HangError) as caught:
        driver.wait(10_000_000)
    assert isinstance(caught.value, (HarnessError, UserError))
    return caught.value.hang, port.cycles - start


#: What a memory does not do → who waits for it, why, and what the table says.
OWED = {
    "hold_ar": ("fetch", r"it does not take ar\d", "offered and not taken: AR"),
    "hold_r": ("fetch", "reads are unanswered", r"reads unanswered: \d+ \(the oldest, of 0x"),
    "hold_aw": ("write", "it does not take write addresses", "offered and not taken: AW"),
    "hold_w": ("write", r"it does not take w\d", "offered and not taken: W"),
    "hold_b": ("write", "writes are unanswered", r"writes unanswered: [1-9]"),
}


@pytest.mark.parametrize("held", OWED)
def test_a_memory_that_owes_something(held):
    unit, why, line = OWED[held]
    with transport(QUAD) as port:
        port.trouble(**{held: True})
        found, cycles = hang(port)
        assert PATIENCE < cycles < slow_patience(QUAD) + ROOM
        assert any(w.unit == unit and "memory" in w.on and re.search(why, w.why) for w in found.waits), found.summary
        assert re.search(line, found.table), found.table
        # Only memory is to blame, and the message says so.
        assert found.roots and all(root.startswith("memory") for root in found.roots), found.summary
        assert f"held up by: {', '.join(found.roots)}" in found.summary
        assert found.jobs == ((5,) if held not in ("hold_ar", "hold_r") else ())  # or it was never read
        assert "\n" not in found.summary
        # The memory answers at last: nothing was broken by looking.
        port.trouble()
        assert port.wait_irq(ROOM)


@pytest.mark.parametrize("channel", range(QUAD.channels))
def test_reads_of_one_channel_in_the_middle_of_a_job(channel):
    with transport(QUAD) as port:
        solo = Solo(QUAD, 1, **LONG)
        driver = Driver(QUAD, port)
        solo.submit(driver, 9)
        port.run(600)
        port.trouble(channel, hold_r=True)
        with pytest.raises(HangError) as caught:
            driver.wait(10_000_000)
        found = caught.value.hang
        assert found.jobs == (9,) and found.roots == (f"memory {channel}",)
        assert re.search(r"fetch waits for memory \d \(reads are unanswered", str(caught.value)), caught.value
        port.trouble()
        assert finish(driver, 1, 100_000) == [(9, 0)]
        assert_right(driver, [solo])


def test_slow_is_not_a_hang():
    """A memory that takes longer than the patience, and a host that takes no completions."""
    with transport(QUAD, latency=PATIENCE + 1000) as port:
        solo = Solo(QUAD, 1, queries=1)
        driver = Driver(QUAD, port)
        solo.submit(driver, 1)
        assert finish(driver, 1, 1_000_000) == [(1, 0)]
        assert_right(driver, [solo])
    with transport(QUAD) as port:
        solo = Solo(QUAD, 1, queries=1)
        driver = Driver(QUAD, port)
        solo.load(driver)
        for tag in range(QUAD.job_queue + 4):   # more than there is room for completions
            driver.submit(solo.run.job, tag, solo.run.descriptor)
            driver._completions.clear()
            port.run(3000)
        port.run(3 * slow_patience(QUAD))


def test_patience_can_be_set():
    with transport(QUAD, patience=0) as port:
        port.trouble(hold_r=True)
        Solo(QUAD, 1).submit(Driver(QUAD, port), 1)
        port.run(4 * slow_patience(QUAD))
        port.set_patience(700)
        with pytest.raises(HangError, match="nothing has moved"):
            port.run(1)


def test_polling_does_not_hide_a_hang():
    with transport(QUAD) as port:
        port.trouble(hold_r=True)
        driver = Driver(QUAD, port)
        Solo(QUAD, 1).submit(driver, 1)
        with pytest.raises(HangError):
            for _ in range(100_000):
                driver._read("STATUS")


def test_the_command_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    """Exit code 2; which layer it was."""
    def stuck(config):
        port = transport(config)
        port.trouble(hold_b=True)
        return port

    monkeypatch.setattr(engine, "verilated", stuck)
    (tmp_path / "quad.toml").write_text("\n".join(f"{k} = {v!r}" for k, v in QUAD.fields.items()))
    numbers = np.random.default_rng(1)
    np.savez(tmp_path / "w.npz", **{n: numbers.normal(size=(1, 2, 6, 16)) for n in "qkv"})
    assert main(["run", str(tmp_path / "w.npz"), "--config", str(tmp_path / "quad.toml"), "--engine", "rtl"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"^spatten-hw: error: cycle \d+: nothing has moved for \d+ cycles while job 0 runs: "
                     r"write waits for memory .*; held up by: memory .*; it was layer 0$", last), last


# -- handshakes that are cut ------------------------------------------------------------------------------------

#: The least of everything, and few tokens, so that no unit may be silent for long.
SMALLEST = LEAST.replace(name="cut", max_tokens=64, chunk_queries=0)
#: Stream → the class that gives it, its port, and the unit that seems not to take it. Number n is cut while a job is in
#: the front stage whose tag has n + 1 in its upper four bits.
CUTS = {
    "k_walk": (Sequencer, "k_walk", "sequencer", "fetch"),
    "q_cmd": (Sequencer, "q_cmd", "sequencer", "fetch"),
    "sums": (ProbValueUnit, "o", "value", "output"),
    "beats": (Requantiser, "o", "output", "write"),
}


@pytest.fixture(scope="module")
def cut_library():
    """It, with those handshakes broken."""
    made = {}

    def shared(block, *arguments, **options):
        made[block] = Shared(block, *arguments, **options)
        return made[block]

    def connect(m, source, sink):
        for n, (block, name, _, _) in enumerate(CUTS.values()):
            if block in made and source is getattr(made[block], name):
                whole = made[Sequencer].front_tag[12:] != n + 1
                m.d.comb += [sink.valid.eq(source.valid & whole), sink.payload.eq(source.payload),
                             source.ready.eq(sink.ready & whole)]
                return
        wiring.connect(m, source, sink)

    def connect_cut(m, name, source, sink):
        m.submodules[f"{name}_skid"] = skid = SkidBuffer(source.payload.shape())
        connect(m, source, skid.i)
        wiring.connect(m, skid.o, sink)
        return skid

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator, "Shared", shared)
        patch.setattr(accelerator, "connect", connect)
        patch.setattr(accelerator, "connect_cut", connect_cut)
        text = to_verilog(Top(SMALLEST, probe=True), "spatten")
    return build_library(text, SMALLEST.channels, SMALLEST.axi_data_bits, probe=SMALLEST)


@pytest.mark.parametrize("stream", CUTS)
def test_a_cut_handshake(stream, cut_library):
    *_, source, sink = CUTS[stream]
    with transport(SMALLEST, library=cut_library) as port:
        solo = Solo(SMALLEST, 1, **LONG)
        driver = Driver(SMALLEST, port)
        solo.submit(driver, 7)                      # whole with this tag
        start = port.cycles
        assert finish(driver, 1, 100_000) == [(7, 0)]
        usual = port.cycles - start
        assert_right(driver, [solo])
        found, cycles = hang(port, tag=(list(CUTS).index(stream) + 1 << 12) + 3)
        assert PATIENCE < cycles < slow_patience(SMALLEST) + usual
        assert f"{source} waits for {sink} (it does not take {stream})" in found.summary
        assert found.jobs == ((list(CUTS).index(stream) + 1 << 12) + 3,)
        assert not any("memory" in w.on for w in found.waits), found.summary
