"""An accelerator that is not there: registers and memory in front of the golden model.

It knows the driver only by what the driver writes: it decodes the descriptor, and takes rows from memory at the
addresses and widths that the descriptor names.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import decode
from spatten_hw.host.layout import Plane
from spatten_hw.host.rows import nibble_align, pack_outputs, packed_bytes, unpack_rows
from spatten_hw.host.words import place_of_words, survivor_words
from spatten_hw.interface.descriptor import HEADER_WORDS, SCALE_WORDS
from spatten_hw.interface.registers import COUNTERS, register_map
from spatten_hw.sim.golden.accelerator import GoldenAccelerator


class FakeDevice:
    """A `Transport`. `break_output` flips a bit of one output, `error` ends every job with that code, `hang` lets
    none end. A job ends when somebody waits for it."""

    def __init__(self, config: SpAttenConfig, size: int = 1 << 20, *, break_output: bool = False, error: int = 0,
                 hang: bool = False, overrides: dict[str, int] | None = None):
        self.config = config
        self.golden = GoldenAccelerator(config)
        self.memory = [bytearray(b"\xee" * size) for _ in range(config.channels)]
        self.by_offset = {r.offset: r.name for r in register_map(config).values()}
        self.values = {r.name: r.reset for r in register_map(config).values()} | (overrides or {})
        self.break_output, self.error, self.hang = break_output, error, hang
        self.queue: deque[tuple[int, int]] = deque()
        self.completions: deque[tuple[int, int]] = deque()
        self.counts = dict.fromkeys((c.name for c in COUNTERS), 0)
        self.cycles = 0
        self.writes = 0
        self.deepest = 0
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    # -- Transport ------------------------------------------------------------------------------------

    def read32(self, address):
        self.cycles += 3
        name = self.by_offset[address]
        for suffix, shift in (("_LO", 0), ("_HI", 32)):
            if name.removesuffix(suffix).lower() in self.counts and name.endswith(suffix):
                return self.counts[name.removesuffix(suffix).lower()] >> shift & 0xFFFFFFFF
        if name == "COMPLETION" and self.completions:
            tag, error = self.completions.popleft()
            return tag | error << 16 | 1 << 31
        return self.values[name]

    def write32(self, address, value):
        self.cycles += 3
        name = self.by_offset[address]
        self.values[name] = value
        if name == "COUNTER_CLEAR":
            self.counts = dict.fromkeys(self.counts, 0)
        if name == "JOB_PUSH":
            full = len(self.queue) > self.config.job_queue
            self.values["STATUS"] = full << 2
            if not full:
                self.queue.append((self.values["JOB_ADDR_LO"] | self.values["JOB_ADDR_HI"] << 32, value))
                self.deepest = max(self.deepest, len(self.queue))

    def mem_write(self, channel, address, data):
        self.writes += 1
        self.memory[channel][address:address + len(data)] = data

    def mem_read(self, channel, address, size):
        return bytes(self.memory[channel][address:address + size])

    def wait_irq(self, max_cycles):
        if self.hang or not self.queue:
            self.cycles += max_cycles
            return False
        self._run(*self.queue.popleft())
        return True

    # -- the job --------------------------------------------------------------------------------------

    def _bytes(self, addr, nbytes):
        return self.mem_read(*place_of_words(addr, self.config), nbytes)

    def _words(self, addr, count):
        return np.frombuffer(self._bytes(addr, 8 * count), dtype="<u8")

    def _place(self, job, name, nbytes):
        base, head, token = (getattr(job, f"{name}_{x}") for x in ("base", "head_stride", "token_stride"))
        return Plane(base, head, token, nbytes, self.config.channels)

    def _plane(self, job, name, bits, heads, rows, signed=True):
        plane = self._place(job, name, packed_bytes(job.dim, bits, nibble_align(self.config)))
        raw = [[np.frombuffer(self.mem_read(int(plane.channel(h, t)), int(plane.address(h, t)), plane.nbytes), np.uint8)
                for t in range(rows)] for h in range(heads)]
        return unpack_rows(np.array(raw), job.dim, bits, nibble_align(self.config), signed)

    def _operand(self, job, name):
        msb, lsb = getattr(job, f"{name}_msb"), getattr(job, f"{name}_lsb")
        value = self._plane(job, f"{name}_msb", msb, job.heads, job.tokens) << lsb
        return value + self._plane(job, f"{name}_lsb", lsb, job.heads, job.tokens, False) if lsb else value

    def _run(self, at, tag):
        header = self._bytes(at, 8 * HEADER_WORDS)
        heads = int.from_bytes(header[12:14], "little") * int.from_bytes(header[14:16], "little")
        job = decode(self._bytes(at, 8 * (HEADER_WORDS + SCALE_WORDS * heads)))
        self.cycles += 1000
        self.counts["cycles"] += 1000
        if self.error:
            self.completions.append((tag, self.error))
            return
        rows = 1 if job.generate else job.tokens
        r = self.golden.run(
            job, self._plane(job, "q", job.q_bits, job.query_heads, rows), self._operand(job, "k"),
            self._operand(job, "v"), descriptor=at,
            ids_in=self._words(job.ids_in, survivor_words(job.tokens, job.heads)) if job.load_ids else None,
            scores_in=self._words(job.scores_in, job.tokens + job.heads) if job.load_scores else None)
        plane = self._place(job, "out", 2 * job.dim)
        for h, row in np.argwhere(r.written).tolist():
            out = r.out[h, row] ^ (1 if self.break_output and (h, row) == (0, 0) else 0)
            self.mem_write(int(plane.channel(h, row)), int(plane.address(h, row)), pack_outputs(out).tobytes())
        for wanted, base, words in ((job.store_ids, job.ids_out, r.ids), (job.store_scores, job.scores_out, r.scores)):
            if wanted:
                self.mem_write(*place_of_words(base, self.config), words.astype("<u8").tobytes())
        for name, count in r.bytes.items():
            self.counts[f"bytes_{name}"] += count
        self.counts["queries"] += r.queries
        self.counts["refetches"] += int(r.refetched.sum())
        self.completions.append((tag, 0))
