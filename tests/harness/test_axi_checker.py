"""Both protocol checkers, C++ and Python, on driven signals: legal traffic passes, a broken rule has its message."""

import ctypes
import random
import subprocess
from dataclasses import astuple
from pathlib import Path

import pytest

from spatten_hw.sim.harness.glue import _PINS
from spatten_hw.sim.harness.rules import NO_RULES, DesignRules
from spatten_hw.sim.testbench.axi_checker import PATIENCE, AxiChecker, AxiError

HERE = Path(__file__).resolve().parent
HARNESS = HERE.parents[1] / "sim" / "harness"
RULES = DesignRules(longest_read=4, longest_write=4, read_ids=8, write_ids=2, reads_per_id=1, open_writes=3,
                    write_lead=2)


class PythonChecker:
    def __init__(self, rules):
        self.checker = AxiChecker("m_axi_0", 4, rules)

    def cycle(self, signals, reset=False):
        """The message of the rule that this cycle breaks, or an empty text."""
        try:
            read = lambda name: signals.get(name, 0)  # noqa: E731
            if reset:
                self.checker.sample_reset(read)
                self.checker.reset()
            else:
                self.checker.sample(read)
        except AxiError as error:
            return str(error)
        return ""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("checker") / "checker.so"
    subprocess.run(["g++", "-std=c++17", "-O0", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{HARNESS}",
                    str(HERE / "checker_shell.cpp"), "-o", str(path)], check=True)
    lib = ctypes.CDLL(str(path))
    lib.shell_new.restype = ctypes.c_void_p
    lib.shell_delete.argtypes = [ctypes.c_void_p]
    lib.shell_cycle.restype, lib.shell_cycle.argtypes = ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_void_p,
                                                                          ctypes.c_int]
    assert lib.shell_signals() == len(_PINS)
    return lib


class CChecker:
    def __init__(self, lib, rules):
        values = astuple(rules)
        self.lib, self.shell = lib, lib.shell_new((ctypes.c_uint64 * len(values))(*values))

    def cycle(self, signals, reset=False):
        values = (ctypes.c_uint32 * len(_PINS))(*(signals.get(p, 0) for p in _PINS))
        return self.lib.shell_cycle(self.shell, values, int(reset)).decode()

    def __del__(self):
        self.lib.shell_delete(self.shell)


@pytest.fixture(params=["C++", "Python"])
def make(request, library):
    return (lambda rules: CChecker(library, rules)) if request.param == "C++" else PythonChecker


# -- cycles of one channel each: dicts of signals; together they make a cycle of several -----------------------------

def ar(addr=0x100, beats=2, id=1, ready=1, **more):
    return {"arvalid": 1, "arready": ready, "araddr": addr, "arlen": beats - 1, "arid": id, "arsize": 2, "arburst": 1,
            **more}


def aw(addr=0x200, beats=2, id=1, ready=1, **more):
    return {"awvalid": 1, "awready": ready, "awaddr": addr, "awlen": beats - 1, "awid": id, "awsize": 2, "awburst": 1,
            **more}


def w(last=0, data=5, strobe=15, ready=1):
    return {"wvalid": 1, "wready": ready, "wdata": data, "wstrb": strobe, "wlast": last}


def r(last=0, id=1, data=7, resp=0, ready=1):
    return {"rvalid": 1, "rready": ready, "rdata": data, "rid": id, "rresp": resp, "rlast": last}


def b(id=1, resp=0, ready=1):
    return {"bvalid": 1, "bready": ready, "bid": id, "bresp": resp}


WRITE = [aw(), w(), w(1)]
LEGAL = {
    "reads of several ids, interleaved": [ar(), ar(0x300, 1, 2), r(), r(1, 2), r(1)],
    "a read while its last beat of another comes": [ar(beats=1), ar(beats=1, id=2) | r(1), r(1, 2)],
    "an id used again": [ar(beats=1), r(1), ar(beats=1), r(1)],
    "waits": [ar(ready=0), ar(ready=0), ar(), r(ready=0), r(ready=0), r(), {}, r(1)],
    "write, address first": [*WRITE, b()],
    "write, data first": [w(), w(1), aw(), b()],
    "write, all at once": [aw(beats=1) | w(1), b()],
    "write data while another is answered": [*WRITE, aw() | b(), w(), w(1), b()],
    "writes of two ids answered in any order": [*WRITE, aw(id=0), w(), w(1), b(id=0), b()],
    "errors": [ar(beats=1), r(1, resp=2), aw(beats=1) | w(1, strobe=0), b(resp=3)],
    "cacheable": [ar(beats=1, arcache=14), r(1)],
    "the last beats below 4 KB": [ar(0x1FF8), r(), r(1)],
    "a reset in between": [ar(), r(), None, {}, ar(), r(), r(1), w(1), None, *WRITE, b()],
    "all that the design may": [w(1), w(1), aw(beats=1), aw(beats=1), aw(beats=1), w(1), ar(beats=4, id=7)],
    "a long wait of an address": [w(1, ready=0), w(1), *[aw(beats=1, ready=0)] * (PATIENCE + 5), aw(beats=1), b()],
    "a long wait of data": [aw(beats=1), *[w(1, ready=0)] * (PATIENCE + 5), w(1), b()],
}

#: Cycles, of which the last breaks a rule, and its message. `None` is a cycle of reset.
BROKEN = {
    "AR dropped": ([ar(ready=0), {}], "AR: valid dropped before ready"),
    "AW dropped": ([aw(ready=0), {}], "AW: valid dropped before ready"),
    "W dropped": ([aw(), w(ready=0), {}], "W: valid dropped before ready"),
    "R dropped": ([ar(), r(ready=0), {}], "R: valid dropped before ready"),
    "B dropped": ([*WRITE, b(ready=0), {}], "B: valid dropped before ready"),
    **{f"AR {name} changed": ([ar(ready=0), ar(**{name: 3})], "AR: payload changed while waiting")
       for name in ("id", "addr", "beats", "arsize", "arburst", "arcache", "arprot")},
    **{f"AW {name} changed": ([aw(ready=0), aw(**{name: 3})], "AW: payload changed while waiting")
       for name in ("id", "addr", "beats", "awsize", "awburst", "awcache", "awprot")},
    **{f"W {name} changed": ([aw(), w(ready=0), w(**{name: 1})], "W: payload changed while waiting")
       for name in ("last", "data", "strobe")},
    **{f"R {name} changed": ([ar(), ar(id=3), r(ready=0), r(**{name: 3})], "R: payload changed while waiting")
       for name in ("id", "data", "resp")},
    "R last changed": ([ar(beats=1), r(1, ready=0), r(0)], "R: payload changed while waiting"),
    **{f"B {name} changed": ([*WRITE, b(ready=0), b(**{name: 3})], "B: payload changed while waiting")
       for name in ("id", "resp")},
    "AR size": ([ar(arsize=1)], "AR at 0x100: size 1 is not the full width"),
    "AW size": ([aw(awsize=3)], "AW at 0x200: size 3 is not the full width"),
    "AR FIXED": ([ar(arburst=0)], "AR at 0x100: burst type 0 is not INCR"),
    "AW WRAP": ([aw(awburst=2)], "AW at 0x200: burst type 2 is not INCR"),
    "AR alignment": ([ar(0x102)], "AR at 0x102: not a multiple of the data width"),
    "AW alignment": ([aw(0x203)], "AW at 0x203: not a multiple of the data width"),
    "AR 4 KB": ([ar(0x1FFC)], "AR at 0x1ffc: burst crosses a 4 KB boundary"),
    "AW 4 KB": ([aw(0x2FF8, 3)], "AW at 0x2ff8: burst crosses a 4 KB boundary"),
    "AR cache": ([ar(arcache=4)], "AR at 0x100: cache 4 is reserved"),
    "AW cache": ([aw(awcache=9)], "AW at 0x200: cache 9 is reserved"),
    "AR length": ([ar(beats=5)], "AR at 0x100: 5 beats, this build needs at most 4"),
    "AW length": ([aw(beats=5)], "AW at 0x200: 5 beats, this build needs at most 4"),
    "AR id": ([ar(id=8)], "AR at 0x100: id 8 is not below 8"),
    "AW id": ([aw(id=2)], "AW at 0x200: id 2 is not below 2"),
    "read id twice": ([ar(), r(), ar(0x300)], "AR at 0x300: id 1 is still in use"),
    "read id too early": ([ar(beats=1), r(1) | ar(0x300)], "AR at 0x300: id 1 is still in use"),
    "unanswered": ([*[aw(beats=1) | w(1)] * 3, aw(beats=1)], "AW at 0x200: 4 bursts are unanswered"),
    "wlast early": ([aw(), w(1)], "W: wlast in the wrong beat of the burst at 0x200"),
    "wlast late": ([aw(beats=1), w()], "W: wlast in the wrong beat of the burst at 0x200"),
    "wlast late, address after": ([w(), aw(beats=1)], "W: wlast in the wrong beat of the burst at 0x200"),
    "data ahead": ([w(1), w(1), w(1)], "W: data of 3 bursts before their addresses"),
    "data alone": ([w(1), *[{}] * PATIENCE], "W: data without an address"),
    "address alone": ([aw(), *[{}] * PATIENCE], "AW at 0x200: address without data"),
    "R unasked": ([r()], "R: no read of id 1 is open"),
    "R of another id": ([ar(), r(id=2)], "R: no read of id 2 is open"),
    "R with its address": ([ar(beats=1) | r(1)], "R: no read of id 1 is open"),
    "R too many": ([ar(beats=1), r(1), r(1)], "R: no read of id 1 is open"),
    "R behind reset": ([ar(), None, r()], "R: no read of id 1 is open"),
    "rlast early": ([ar(), r(1)], "R: rlast in the wrong beat of id 1"),
    "rlast late": ([ar(), r(), r()], "R: rlast in the wrong beat of id 1"),
    "R EXOKAY": ([ar(), r(resp=1)], "R: EXOKAY for id 1"),
    "B unasked": ([b()], "B: no write of id 1 is complete"),
    "B before the data": ([aw(), w(), b()], "B: no write of id 1 is complete"),
    "B with the last beat": ([aw(), w(), w(1) | b()], "B: no write of id 1 is complete"),
    "B before the address": ([w(), w(1), b()], "B: no write of id 1 is complete"),
    "B twice": ([*WRITE, b(), b()], "B: no write of id 1 is complete"),
    "B of another id": ([*WRITE, b(id=0)], "B: no write of id 0 is complete"),
    "B EXOKAY": ([*WRITE, b(resp=1)], "B: EXOKAY for id 1"),
    **{f"{name} in reset": ([{}, None, {f"{name}valid": 1, "reset": 1}], "valid is high in reset")
       for name in ("ar", "aw", "w", "r", "b")},
}


def play(checker, cycles):
    """The messages of all cycles."""
    said = []
    for signals in cycles:
        if signals is None:
            said.append(checker.cycle({}, reset=True))
        else:
            said.append(checker.cycle(signals, reset="reset" in signals))
    return said


@pytest.mark.parametrize("name", LEGAL)
def test_legal_traffic_passes(make, name):
    assert not any(play(make(RULES), LEGAL[name]))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named(make, name):
    cycles, message = BROKEN[name]
    *before, last = play(make(RULES), cycles)
    assert not any(before)
    counted = sum(s is not None for s in cycles[:-1])
    assert last == f"cycle {counted}, m_axi_0: {message}"


def test_without_promises_only_axi_counts(make):
    """What `RULES` forbids and AXI does not."""
    cycles = [ar(beats=256), ar(beats=1, id=1), *[r()] * 255, r(1), r(1), ar(id=200), *[w(1)] * 20,
              *[aw(beats=1)] * 20, *[b()] * 20]
    assert not any(play(make(NO_RULES), cycles))
    assert any(play(make(RULES), cycles))


def test_both_checkers_agree_on_random_signals(library):
    """Traffic with random faults: the same first message, in the same cycle."""
    found = set()
    for seed in range(300):
        rng = random.Random(seed)
        checkers = [CChecker(library, RULES), PythonChecker(RULES)]
        for _ in range(60):
            signals = {}
            for part in (ar(rng.choice([0x100, 0x1FF8]), rng.randint(1, 4), rng.randrange(8)), w(1),
                         aw(0x200, 1, rng.randrange(2)), r(rng.randrange(2), rng.randrange(2)), b(rng.randrange(2))):
                if rng.random() < 0.3:
                    signals |= part
            for name in ("ar", "aw", "w", "r", "b"):
                signals[f"{name}ready"] = rng.random() < 0.8
            said = [c.cycle(signals) for c in checkers]
            # One cycle can break several rules, of which each names the first it comes to.
            assert bool(said[0]) == bool(said[1]), (seed, said)
            if said[0]:
                assert said[0].split(",")[0] == said[1].split(",")[0]
                found.add(said[0].split(": ", 1)[1].split()[0])
                break
    assert len(found) >= 4, found
