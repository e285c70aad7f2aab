"""The bare-metal example of docs/bare_metal: compiled with the generated header, run against the simulation."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spatten_hw.host.job import HeadScale, LayerJob
from spatten_hw.host.rows import unpack_outputs, unpack_rows
from spatten_hw.interface.cheader import c_header
from spatten_hw.interface.descriptor import FIELDS, HEADER_WORDS, SCALE_FIELDS, SCALE_WORDS
from spatten_hw.interface.registers import register_map
from spatten_hw.presets import PRESETS
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.harness.transport import VerilatedTransport

SOURCES = Path(__file__).resolve().parents[2] / "docs" / "bare_metal"
STRICT = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
#: Cycles within which every job of the example ends.
CYCLE_LIMIT = 200_000
#: What `spatten_example` returns.
OK, NO_DEVICE, WRONG_BUILD = 0, 1, 2

CONFIG = PRESETS["small"]
JOB_ADDR_LO = register_map(CONFIG)["JOB_ADDR_LO"].offset

READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)
STORE = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t)
LOAD = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t)
WAIT = ctypes.CFUNCTYPE(ctypes.c_int)


class Hal(ctypes.Structure):
    """`struct spatten_hal`."""

    _fields_ = [("read32", READ), ("write32", WRITE), ("store", STORE), ("load", LOAD), ("wait_irq", WAIT)]


class Recorder:
    """The simulation as a `spatten_hal`; keeps every descriptor that was pushed."""

    def __init__(self, transport):
        self.transport = transport
        self.hal = Hal(READ(transport.read32), WRITE(self.write32), STORE(self.store), LOAD(self.load),
                       WAIT(lambda: int(transport.wait_irq(CYCLE_LIMIT))))
        self.jobs: list[LayerJob] = []

    def write32(self, offset, value):
        if offset == JOB_ADDR_LO:
            self.jobs.append(self.decode(value))
        self.transport.write32(offset, value)

    def store(self, address, source, size):
        self.transport.mem_write(0, address, ctypes.string_at(source, size))

    def load(self, target, address, size):
        ctypes.memmove(target, self.transport.mem_read(0, address, size), size)

    def decode(self, address: int) -> LayerJob:
        """The job of the descriptor in memory."""
        def words(at, count):
            return np.frombuffer(self.transport.mem_read(0, at, 8 * count), "<u8").tolist()

        def read(fields, values):
            return {f.name: values[f.word] >> f.lsb & ((1 << f.width) - 1) for f in fields}

        header = read(FIELDS, words(address, HEADER_WORDS))
        scales = tuple(
            HeadScale(**read(SCALE_FIELDS, words(address + 8 * (HEADER_WORDS + SCALE_WORDS * h), SCALE_WORDS)))
            for h in range(header["heads"] * header["group"]))
        return LayerJob(scales=scales, **header)

    def plane(self, base: int, heads: int, tokens: int, row: int) -> np.ndarray:
        raw = self.transport.mem_read(0, base, heads * tokens * row)
        return np.frombuffer(raw, np.uint8).reshape(heads, tokens, row)


def compiled(folder: Path, header: str) -> ctypes.CDLL:
    """The example as a library whose `spatten_hal` the test fills in."""
    (folder / "spatten_regs.h").write_text(header)
    (folder / "hal.c").write_text('#include "spatten_hal.h"\nstruct spatten_hal spatten_hal;\n')
    library = folder / "example.so"
    result = subprocess.run(
        ["gcc", *STRICT, "-fPIC", "-shared", "-I", str(SOURCES), "-I", str(folder), str(SOURCES / "attention.c"),
         str(folder / "hal.c"), "-lm", "-o", str(library)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return ctypes.CDLL(str(library))


def run(library: ctypes.CDLL, hal: Hal) -> tuple[int, float, int]:
    ctypes.memmove(ctypes.addressof(Hal.in_dll(library, "spatten_hal")), ctypes.addressof(hal), ctypes.sizeof(hal))
    error, tokens = ctypes.c_double(), ctypes.c_int()
    return library.spatten_example(ctypes.byref(error), ctypes.byref(tokens)), error.value, tokens.value


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler called gcc")


@needs_gcc
def test_the_example_runs_on_the_simulation(tmp_path):
    library = compiled(tmp_path, c_header(CONFIG))
    with VerilatedTransport(CONFIG) as transport:
        recorder = Recorder(transport)
        result, error, tokens = run(library, recorder.hal)
        assert result == OK
        assert (len(recorder.jobs), tokens) == (2, 12)
        assert 0 < error < 24 / 4096

        # What the second layer left is what the golden model says of the very descriptors the C code wrote.
        golden = GoldenAccelerator(CONFIG)
        for job in recorder.jobs:
            operands = [unpack_rows(recorder.plane(base, job.heads, job.tokens, job.dim), job.dim, 8, 1)
                        for base in (job.q_base, job.k_msb_base, job.v_msb_base)]
            expected = golden.run(job, *operands)
        raw = recorder.plane(job.out_base, job.heads, job.tokens, job.out_token_stride)
        got = unpack_outputs(raw, job.dim)
        assert expected.written.sum() == 2 * 12
        np.testing.assert_array_equal(got[expected.written], expected.out[expected.written])


@needs_gcc
def test_the_example_knows_its_build(tmp_path):
    other = CONFIG.replace(name="other", slots=8)
    library = compiled(tmp_path, c_header(other))
    with VerilatedTransport(CONFIG) as transport:
        assert run(library, Recorder(transport).hal)[0] == WRONG_BUILD
    nothing = Hal(READ(lambda _: 0xFFFFFFFF), WRITE(), STORE(), LOAD(), WAIT())
    assert run(library, nothing)[0] == NO_DEVICE


@needs_gcc
def test_the_hal_for_plain_loads_and_stores_compiles(tmp_path):
    """Cannot be run here; compiled for a free-standing target as strictly as the rest."""
    (tmp_path / "spatten_regs.h").write_text(c_header(CONFIG))
    command = ["gcc", *STRICT, "-I", str(tmp_path), "-ffreestanding", "-DSPATTEN_REGISTERS=0xA0000000",
               "-DSPATTEN_MEMORY=0x0", "-c", str(SOURCES / "hal_mmio.c"), "-o", str(tmp_path / "hal.o")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    bare = subprocess.run([c for c in command if "-DSPATTEN" not in c], capture_output=True, text=True)
    assert "define SPATTEN_REGISTERS" in bare.stderr
