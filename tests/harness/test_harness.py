"""The compiled harness on a machine small enough to know: memory model, checker, guards, errors, control port."""

import os
import random

import pytest

from spatten_hw.presets import SMALL
from spatten_hw.sim.harness import build, verilator
from spatten_hw.sim.harness.errors import ToolError
from spatten_hw.sim.harness.library import HarnessError, ProtocolError
from spatten_hw.sim.harness.memories import DECERR
from spatten_hw.sim.harness.memory_options import HOSTILE, MemoryOptions
from spatten_hw.sim.harness.rules import DesignRules
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.top import AXIL_PORTS, axi_ports
from spatten_hw.verilog import to_verilog

from .toy import AXIL, BEATS, FAULTS, Toy, axi

SEED = int(os.environ.get("SEED", "1"))
NARROW = SMALL.replace(name="narrow", multipliers=64, channels=2, axi_data_bits=32, axi_addr_bits=32)
WIDE = SMALL.replace(name="wide", channels=1, axi_data_bits=512, axi_addr_bits=40)
CONFIGS = {c.name: c for c in (NARROW, WIDE)}
SOURCE, TARGET = 0x1F00, 0x40_0000


def library(config):
    return build.build_library(to_verilog(Toy(config), build.TOP), config.channels, config.axi_data_bits, optimize=1)


def toy(config, **options):
    return VerilatedTransport(config, library=library(config), **options)


def start(t, blocks, fault="", source=SOURCE, target=TARGET):
    t.write32(0x10, FAULTS.index(fault))
    t.write32(0x0, source)
    t.write32(0x4, target)
    t.write32(0x8, blocks)


def block_bytes(config):
    return 2 * BEATS * config.beat_bytes


def align(config):
    return SOURCE - SOURCE % block_bytes(config)


def filled(t, blocks):
    rng = random.Random(SEED)
    data = [rng.randbytes(blocks * block_bytes(t.config)) for _ in range(t.config.channels)]
    for c, d in enumerate(data):
        t.mem_write(c, align(t.config), d)
    return data


def copied(t, blocks):
    return [t.mem_read(c, TARGET, blocks * block_bytes(t.config)) for c in range(t.config.channels)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("options", [{}, HOSTILE, {"latency": 1, "ready_after_valid": True, "reorder": True},
                                     {"latency": 9, "max_reads": 1, "seed": 5}], ids=["plain", "hostile", "shy", "one"])
def test_copy(name, options):
    with toy(CONFIGS[name], **options) as t:
        data = filled(t, 20)
        for _ in range(2):
            start(t, 20, source=align(t.config))
            assert t.wait_irq(200_000)
            assert copied(t, 20) == data
            assert t.read32(0xC) == 0
            t.write32(0xC, 1)
            assert not t.wait_irq(50)
        traffic = t.traffic()
        total = 2 * sum(map(len, data))
        assert (traffic.bytes_read, traffic.bytes_written) == (total, total)
        assert traffic.read_bursts == traffic.write_bursts == 2 * 20 * 2 * t.config.channels


def test_latency_is_exact():
    counts = {}
    for latency in (1, 11):
        with toy(WIDE, latency=latency) as t:
            start(t, 50, source=align(WIDE))
            before = t.cycles
            assert t.wait_irq(100_000)
            counts[latency] = t.cycles - before
    # Per block one wait for the two reads together and one for each of the two writes.
    assert counts[11] - counts[1] == 50 * 3 * 10


@pytest.mark.parametrize("fault, message", [
    ("wlast", "wlast"), ("size", "full width"), ("cross", "4 KB"), ("drop", "AR: valid dropped"),
    ("change", "W: payload changed")])
def test_checker_notices(fault, message):
    with toy(NARROW, **HOSTILE) as t:
        start(t, 8, fault, source=align(NARROW))
        with pytest.raises(ProtocolError, match=message):
            t.wait_irq(100_000)


@pytest.mark.parametrize("fault, message", [("lite_b", "s_axil: B: valid dropped"),
                                            ("lite_r", "s_axil: R: payload changed")])
def test_checker_notices_on_the_control_port(fault, message):
    with toy(NARROW, **HOSTILE) as t:
        t.write32(0x10, FAULTS.index(fault))
        with pytest.raises(ProtocolError, match=message):
            for _ in range(30):
                t.write32(0, 1)
                t.read32(0)


@pytest.mark.parametrize("rules, fault, message", [
    ({"longest_read": 3}, "", "AR at .*: 4 beats, this build needs at most 3"),
    ({"longest_write": 3}, "", "AW at .*: 4 beats, this build needs at most 3"),
    ({"read_ids": 1}, "", "AR at .*: id 1 is not below 1"), ({"write_ids": 1}, "", "AW at .*: id 1 is not below 1"),
    ({"reads_per_id": 1}, "one_id", "AR at .*: id 0 is still in use")])
def test_checker_holds_a_design_to_its_promises(rules, fault, message):
    with toy(NARROW) as t:
        t.check_design(DesignRules(**rules))
        start(t, 2, fault, source=align(NARROW))
        with pytest.raises(ProtocolError, match=message):
            t.wait_irq(10_000)


def test_trouble_of_a_channel():
    """Late answers, and channels that take or give nothing, until told otherwise."""
    with toy(NARROW) as t:
        cycles = {}
        for name, fields in {"usual": {}, "late": {"extra": 1000}, "newest": {"newest": 30}}.items():
            t.trouble(1, **fields)
            before = t.cycles
            start(t, 3, source=align(NARROW))
            assert t.wait_irq(50_000)
            cycles[name] = t.cycles - before
            t.write32(0xC, 1)
        # Per block one wait for two reads together and one for each of two writes.
        assert cycles["late"] - cycles["usual"] == 3 * 3 * 1000
        assert cycles["newest"] > cycles["usual"] + 3 * 10
        for held in ("hold_ar", "hold_r", "hold_aw", "hold_w", "hold_b"):
            t.trouble(0, **{held: True})
            data = filled(t, 3)
            start(t, 3, source=align(NARROW))
            assert not t.wait_irq(2000), held
            traffic = [t.traffic(channel) for channel in range(2)]
            assert traffic[0].bytes_written < traffic[1].bytes_written, held
            t.trouble()
            assert t.wait_irq(2000) and copied(t, 3) == data
            t.write32(0xC, 1)


def test_bytes_and_errors_by_class():
    with toy(NARROW) as t:
        size = 2 * block_bytes(NARROW)
        first = align(NARROW)
        # The source's second half of channel 0, up to the middle of a beat; the whole target of channel 1.
        classes = {"half": [(0, first + size // 2, first + size - 2)], "target": [(1, TARGET, TARGET + size)]}
        for errors in (0, 1):
            t.set_classes(classes)
            if errors:
                t.inject_class_error("half", 5)
                t.inject_class_error("target", 3, write=True, response=DECERR)
            data = filled(t, 2)
            t.mem_write(1, TARGET, bytes(size))
            start(t, 2, source=first)
            assert t.wait_irq(10_000)
            assert t.class_bytes() == {"": (size // 2 + size, size), "half": (size // 2, 0), "target": (0, size)}
            # Two at once count as one: the toy's counter has one adder.
            assert t.read32(0xC) == 2 * errors
            t.write32(0xC, 1)
            got = copied(t, 2)
            if not errors:
                assert got == data
                continue
            wrong = size // 2 + 5 * NARROW.beat_bytes
            assert got[0][:wrong] == data[0][:wrong] and got[0][wrong:wrong + 4] != data[0][wrong:wrong + 4]
            assert got[1] == data[1][:-16] + bytes(16), "the fourth burst was written"


def test_guards():
    with toy(NARROW) as t:
        size = 4 * block_bytes(NARROW)
        inside = [(c, TARGET, TARGET + size) for c in range(2)]
        t.set_write_guard(inside)
        t.set_read_guard([(c, align(NARROW), align(NARROW) + size) for c in range(2)])
        start(t, 4, source=align(NARROW))
        assert t.wait_irq(10_000)
        t.write32(0xC, 1)
        start(t, 4, "stray", source=align(NARROW))
        with pytest.raises(ProtocolError, match=f"writes a byte at 0x{TARGET + size:x}, outside"):
            t.wait_irq(10_000)
        t.reset()
        start(t, 4, source=align(NARROW) - 32)
        with pytest.raises(ProtocolError, match="reads 16 bytes"):
            t.wait_irq(10_000)


def test_injected_errors():
    with toy(NARROW, reorder=True, extra=20) as t:
        data = filled(t, 8)
        t.inject_read_error(1, beat=3, response=DECERR)
        t.inject_read_error(0, span=(align(NARROW) + 32, align(NARROW) + 33))
        start(t, 8, source=align(NARROW))
        assert t.wait_irq(10_000)
        assert t.read32(0xC) == 2
        got = copied(t, 8)
        assert got[0][36:] == data[0][36:] and got[0][32:36] != data[0][32:36]
        t.write32(0xC, 1)
        t.clear_errors()
        t.mem_write(0, TARGET, bytes(len(data[0])))
        t.inject_write_error(0, burst=2)
        start(t, 8, source=align(NARROW))
        assert t.wait_irq(10_000)
        got = copied(t, 8)
        assert t.read32(0xC) == 1
        assert got[1] == data[1]
        assert got[0] == data[0][:32] + bytes(16) + data[0][48:], "a failed write reached memory"


def test_reset_in_the_middle():
    with toy(NARROW, **HOSTILE) as t:
        data = filled(t, 10)
        for cycles in (37, 95, 161):
            start(t, 10, source=align(NARROW))
            t.run(cycles)
            t.reset()
            assert t.read32(0x0) == 0
        start(t, 10, source=align(NARROW))
        assert t.wait_irq(100_000) and copied(t, 10) == data


def test_memory_is_sparse_and_filled():
    with toy(WIDE, fill=0x5A) as t:
        high = (1 << 40) - 7
        t.mem_write(0, high, b"hello!!")
        assert t.mem_read(0, high - 2, 9) == b"ZZhello!!"
        t.mem_write(0, 0xFFFE, b"abcd")
        assert t.mem_read(0, 0xFFFD, 6) == b"ZabcdZ"


def test_control_port_errors_and_close():
    t = toy(NARROW)
    with pytest.raises(HarnessError, match="register 0x100: error response 3"):
        t.write32(0x100, 1)
    with pytest.raises(ValueError, match="channel 2"):
        t.mem_read(2, 0, 1)
    with pytest.raises(ValueError, match="stall_ar = 256"):
        t.configure(MemoryOptions(stall_ar=256))
    t.close()
    t.close()
    with pytest.raises(HarnessError, match="closed"):
        t.read32(0)


def test_two_at_once_are_apart():
    with toy(NARROW) as a, toy(NARROW) as b, toy(WIDE) as w:
        a.write32(0, 17)
        w.write32(0, 99)
        assert (a.read32(0), b.read32(0), w.read32(0)) == (17, 0, 99)


def test_same_seed_same_cycles():
    counts = []
    for seed in (1, 1, 2):
        with toy(NARROW, **HOSTILE, seed=seed) as t:
            start(t, 10, source=align(NARROW))
            assert t.wait_irq(100_000)
            counts.append(t.cycles)
    assert counts[0] == counts[1] != counts[2]


def test_missing_tools_are_one_line(monkeypatch):
    monkeypatch.setattr(verilator.shutil, "which", lambda tool: None if tool != "make" else "/usr/bin/make")
    with pytest.raises(ToolError, match=r"^g\+\+, perl not found; install with: apt-get install g\+\+ make perl$"):
        verilator.check_tools()


def test_bad_verilog_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    with pytest.raises(ToolError, match="verilator"):
        build.build_library("module spatten(input a", 1, 32)
    assert not list(tmp_path.rglob("*.so"))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_the_real_top_has_these_ports(config):
    assert (AXIL_PORTS, axi_ports(config)) == (AXIL, axi(config))
