"""Jobs that depend on nothing before them, and where their bytes lie by class."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.driver import FILL, Driver
from spatten_hw.host.job import descriptor_bytes
from spatten_hw.host.layout import Plane
from spatten_hw.host.plan import LayerPass, Plan
from spatten_hw.host.words import WORD_BYTES, pack_survivors, place_of_words
from spatten_hw.host.workload import make_workload
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.engine import compare_pass
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.harness.transport import VerilatedTransport

#: (channel, first, end) in local byte addresses.
Ranges = list[tuple[int, int, int]]

#: Class of access → code of a job in which one fails.
READS = {
    "descriptor": ErrorCode.READ_DESCRIPTOR, "state_in": ErrorCode.READ_STATE, "q": ErrorCode.READ_Q,
    "k_msb": ErrorCode.READ_K, "k_lsb": ErrorCode.READ_K, "v_msb": ErrorCode.READ_V, "v_lsb": ErrorCode.READ_V,
}
WRITES = {"out": ErrorCode.WRITE_OUTPUT, "state_out": ErrorCode.WRITE_STATE}


class Solo:
    """A layer with progressive quantisation (every row refetches) and pruning of tokens and values, that loads its
    alive lists and scores and stores them: every class of access in one job. `base`: first address; `end`: behind it.
    """

    def __init__(self, config: SpAttenConfig, seed: int, base: int = 0, *, queries: int | None = None, tokens: int = 7,
                 heads: int = 2, dim: int = 8, **job):
        self.config = config
        numbers = np.random.default_rng(seed)
        rows = tokens if queries is None else queries
        arrays = {n: numbers.normal(size=(1, heads, r, dim)) for n, r in (("q", rows), ("k", tokens), ("v", tokens))}
        msb = min(6, config.operand_bits - 4)
        self.plan = Plan(make_workload(arrays, {
            "stage": "summarise" if queries is None else "generate", "q_bits": min(12, config.operand_bits),
            "k_bits": [msb, 4], "v_bits": [msb, 4], "threshold": 1.0, "keep_tokens": [tokens - 2],
            "keep_values": [tokens - 3], **job}), config, base)
        p = self.plan.passes[0]
        arena = self.plan.arena
        count = p.job.tokens + p.job.heads
        self.ids = pack_survivors(np.ones(p.job.tokens, dtype=bool), np.ones(p.job.heads, dtype=bool))
        self.scores = numbers.integers(0, 1 << 12, size=count).astype(np.uint64)
        job = p.job.replace(restart=0, clear_scores=0, load_ids=1, load_scores=1,
                            ids_in=arena.alloc(WORD_BYTES * len(self.ids)), scores_in=arena.alloc(WORD_BYTES * count),
                            store_scores=1, scores_out=arena.alloc(WORD_BYTES * count))
        self.run: LayerPass = dataclasses.replace(p, job=job, ids=self.ids)
        self.end = arena.next
        self.expected: LayerResult = GoldenAccelerator(config).run(
            job, p.q, p.k, p.v, descriptor=p.descriptor, ids_in=self.ids, scores_in=self.scores)
        assert self.expected.refetched[self.expected.written].all()

    def load(self, driver: Driver) -> None:
        """Puts everything it reads, and an untouched output plane, into memory."""
        driver.write(self.plan.layer_data(0))
        job = self.run.job
        driver.write_words(job.ids_in, self.ids)
        driver.write_words(job.scores_in, self.scores)
        driver.write(self.run.out.fill(job.query_heads, FILL))

    def submit(self, driver: Driver, tag: int) -> None:
        self.load(driver)
        driver.submit(self.run.job, tag, self.run.descriptor)

    def differences(self, driver: Driver) -> list[str]:
        """Where memory differs from the golden model, in words."""
        return compare_pass(driver._outcome(self.run, 0), self.expected)

    def places(self) -> dict[str, Ranges]:
        """Ranges by class of access, for `set_classes`."""
        job = self.run.job
        count, ids = WORD_BYTES * (job.tokens + job.heads), WORD_BYTES * len(self.ids)

        def at(addr: int, size: int) -> Ranges:
            channel, local = place_of_words(addr, self.config)
            return [(channel, local, local + size)]

        found = {"descriptor": at(self.run.descriptor, descriptor_bytes(job.query_heads)),
                 "state_in": at(job.ids_in, ids) + at(job.scores_in, count),
                 "state_out": at(job.ids_out, ids) + at(job.scores_out, count)}
        return found | operand_places(self.plan)


def operand_places(plan: Plan) -> dict[str, Ranges]:
    """Ranges of all operand and output planes of a plan, by class."""
    shape = plan.workload.shape
    found: dict[str, Ranges] = {name: [] for name in ("q", "k_msb", "k_lsb", "v_msb", "v_lsb", "out")}
    for planes in plan.planes:
        for name, plane in planes.items():
            found[name] += _plane(plane, shape.query_heads if name == "q" else shape.kv_heads)
    for p in plan.passes:
        found["out"] += _plane(p.out, p.job.query_heads)
    return found


def _plane(plane: Plane, heads: int) -> Ranges:
    return [(channel, plane.base, plane.base + plane.size(heads)) for channel in range(plane.channels)]


def watch(port: VerilatedTransport, job: Solo) -> None:
    """Counts traffic by the job's classes from now on."""
    port.set_classes(job.places())


def finish(driver: Driver, count: int, limit: int) -> list[tuple[int, int]]:
    """(tag, error) of the next `count` completions."""
    return [(done.tag, done.error) for done in (driver.wait(limit) for _ in range(count))]


def assert_right(driver: Driver, jobs: Iterable[Solo]) -> None:
    for job in jobs:
        assert not job.differences(driver)
