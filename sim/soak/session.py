"""Work for one configuration: sessions of cases on one simulation, each case compared with the golden model.

A *session* is one simulation with one model of memory behind it. A *case* is one queue of jobs (`Sequences`): outputs,
survivors and scores of every job, the counters and what the memories carried must be as the golden model says.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.driver import Driver
from spatten_hw.host.layout import Arena
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.dram.timing import preset
from spatten_hw.sim.engine import compare_counters, compare_pass
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.harness.library import HarnessError, ProtocolError
from spatten_hw.sim.harness.transport import VerilatedTransport

from .memory import MODELS, Memory, random_memory
from .placement import LooseArena, LoosePlan
from .sequences import Sequences
from .workload import hard_values, random_queries, random_rules, random_workload

#: A configuration has so many cases of all kinds, then bulk ones until it has done so many queries, cycles or cases.
CASES = 10
QUERIES, CYCLES, MOST_CASES = 6000, 2_000_000, 100
#: Most cycles, as estimated from the bytes, of a case: a longer one is drawn again with half the tokens.
CASE_CYCLES, BULK_CYCLES = 40_000, 80_000
#: A job has failed after so many times the cycles estimated for all of its case, and so many more.
SLACK, GRACE = 20, 50_000
#: Longest cascades, most of them shorter.
TOKENS = (16, 64, 64, 64, 200, 1000)
#: Failed cases after which a configuration is left.
FAILURES = 3

Simulate = Callable[..., VerilatedTransport]
Golden = Callable[[Sequences, SpAttenConfig], list[LayerResult]]


@dataclass
class Case:
    """Drawn work: workloads with their jobs, where they lie, the memory. All of it follows from `name`."""

    name: str
    arrays: list[dict[str, np.ndarray]]
    jobs: list[dict[str, Any]]
    sequences: Sequences
    memory: Memory
    golden: list[LayerResult]
    features: Counter[str]

    @property
    def queries(self) -> int:
        """Queries of query heads that are scored."""
        return sum(r.queries for r in self.golden)


@dataclass
class Work:
    """What a configuration has done. `features`: how often something was there; `failures`: (case, what differs)."""

    queries: int = 0
    cycles: int = 0
    jobs: int = 0
    cases: int = 0
    features: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Case, list[str]]] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        """Nothing more is to be run."""
        done = self.queries >= QUERIES or self.cycles >= CYCLES or self.cases >= MOST_CASES
        return (done and self.cases >= CASES) or len(self.failures) >= FAILURES


def work(config: SpAttenConfig, seed: int, simulate: Simulate, golden: Golden = Sequences.golden,
         say: Callable[[Work], None] = lambda _: None) -> Work:
    """Sessions until it is enough. `simulate(config, **options)` makes a simulation, `golden` what is right."""
    done = Work()
    session = 0
    while not done.enough:
        session += 1
        rng = random.Random(f"session {seed} {session}")
        dram = rng.choice([None, None, None, *MODELS]) if rng.random() < 0.4 else None
        with simulate(config, memory=preset(dram) if dram else None) as port:
            for number in range(1, rng.randint(2, 6) + 1):
                bulk = done.cases >= CASES
                case = draw_case(config, f"{seed} {session} {number}{' bulk' * bulk}", dram, golden)
                wrong = run_case(case, config, port, done)
                if wrong:
                    done.failures.append((case, wrong))
                say(done)
                if wrong or done.enough:
                    break
                if rng.random() < 0.15:
                    _reset_in_the_middle(case, config, port, rng.randrange(2000))
                    done.features["reset in the middle"] += 1
    return done


def draw_case(config: SpAttenConfig, name: str, dram: str | None, golden: Golden = Sequences.golden) -> Case:
    """The case of a name. It fits the build's memory and takes about `CASE_CYCLES` (`BULK_CYCLES`)
    at most."""
    rng = random.Random(f"case {name}")
    bulk = name.endswith("bulk")
    longest = 128 if bulk else rng.choice(TOKENS)
    while True:
        memory = random_memory(rng, config.channels, dram)
        if bulk and memory.slowness > 2:
            continue
        case = None
        with suppress(UserError):  # the address space is too small for it
            case = _draw(config, name, rng, longest, memory, golden, bulk)
        if case is not None and (longest == 1 or _cycles(case, config) <= (BULK_CYCLES if bulk else CASE_CYCLES)):
            return case
        longest = max(1, longest // 2)


def _draw(config: SpAttenConfig, name: str, rng: random.Random, longest: int, memory: Memory,
          golden: Golden, bulk: bool) -> Case:
    count = 1 if bulk else rng.choice([1, 1, 2])
    arrays, jobs, workloads = [], [], []
    features: Counter[str] = Counter()
    for _ in range(count):
        a, job = random_workload(rng, config, longest, bulk)
        if config.decision_rules and rng.random() < 0.4:
            job = random_rules(rng, job)
        if config.chunk_queries and job["stage"] == "generate" and rng.random() < 0.6:
            a, job = random_queries(rng, a, job)
        kind = hard_values(rng, a, job)
        if "token_scores" in a and count > 1:
            del a["token_scores"], a["head_scores"]
            kind = "normal"
        arrays.append(a)
        jobs.append(job)
        workloads.append(make_workload(a, job))
        features += _features(a, job, kind)
    loose, high = rng.random() < 0.5, rng.random() < 0.3
    moves, barriers = rng.choice([0.0, 0.0, 0.3]), rng.choice([0.0, 0.2])
    seed = rng.randrange(1 << 32)

    def place(base: int) -> tuple[Sequences, int]:
        where = random.Random(seed)
        arena: Arena = LooseArena(config, base, where) if loose else Arena(config, base)
        sequences = Sequences([LoosePlan(w, config, arena=arena) for w in workloads], where, moves, barriers)
        return sequences, arena.next

    sequences, end = place(0)
    if high:
        align = Arena(config).align
        sequences, end = place(((1 << config.axi_addr_bits) - end - 2 * align) // align * align)
    features.update(sequences.features)
    features["loose" if loose else "aligned"] += 1
    features["top of the address space"] += high
    features["two workloads"] += count > 1
    features[f"memory {memory.dram or memory.kind}"] += 1
    return Case(name, arrays, jobs, sequences, memory, golden(sequences, config), features)


def _features(arrays: dict[str, np.ndarray], job: dict[str, Any], values: str) -> Counter[str]:
    mask = job.get("mask", "none")
    group = arrays["q"].shape[1] // arrays["k"].shape[1]
    return Counter({
        job["stage"]: 1, f"mask {mask if isinstance(mask, str) else 'padding'}": 1, f"D {arrays['q'].shape[3]}": 1,
        f"group {'1' if group == 1 else '2 or more'}": 1, f"values {values}": 1,
        "K {}+{}".format(*job["k_bits"]): 1, "V {}+{}".format(*job["v_bits"]): 1, f"Q {job['q_bits']}": 1,
        **{f"rule {rule}": int(rule in job) for rule in ("lsb_margin", "keep_mass", "give_back")},
        "several queries per job": int(job.get("queries", 1) > 1),
        "tokens and heads pruned": int("keep_tokens" in job), "values pruned": int("keep_values" in job),
        "protected tokens": int(bool(job.get("protect_first", 0) or job.get("protect_last", 0))),
        "more than 64 tokens": int(arrays["k"].shape[2] > 64)})


def _cycles(case: Case, config: SpAttenConfig) -> int:
    """About the cycles of a case: beats on the busiest channel, rows of scores, a little per query and job."""
    beats = sum(sum(r.bytes.values()) for r in case.golden) // config.beat_bytes
    rows = sum(r.queries * -(-int(r.tokens_alive.sum()) // config.slices) * (p.job.dim // config.chunk)
               for p, r in zip(case.sequences.passes, case.golden, strict=True))
    beats = beats if case.memory.slowness > 2 else beats // min(2, config.channels)
    return case.memory.slowness * beats + 2 * rows + 30 * case.queries + 500 * len(case.golden)


def run_case(case: Case, config: SpAttenConfig, port: VerilatedTransport, done: Work) -> list[str]:
    """Runs a case and adds it to `done`; in words, what differs from the golden model or breaks a rule."""
    case.memory.apply(port)
    start, limit = port.cycles, GRACE + SLACK * _cycles(case, config)
    wrong: list[str] = []
    try:
        port.set_classes({})
        driver = Driver(config, port)
        for outcome, expected in zip(driver.run_layers(case.sequences, limit), case.golden, strict=True):
            case.sequences.note(outcome)
            wrong += compare_pass(outcome, expected)
        counters = driver.counters()
        wrong += compare_counters(counters, case.golden)
        moved, counted = sum(port.class_bytes()[""]), sum(counters.bytes.values())
        if moved != counted:
            wrong.append(f"the memories carried {moved} bytes, the counters say {counted}")
        done.features["refetches"] += counters.refetched > 0
        done.queries += counters.queries
    except (UserError, ProtocolError, HarnessError) as error:
        wrong.append(f"{type(error).__name__}: {error}")
    done.cycles += port.cycles - start
    done.jobs += len(case.golden)
    done.cases += 1
    done.features += case.features
    return wrong


def _reset_in_the_middle(case: Case, config: SpAttenConfig, port: VerilatedTransport, cycles: int) -> None:
    """Starts the first job of a case again and resets after some cycles."""
    driver = Driver(config, port)
    p = case.sequences.passes[0]
    driver.write(case.sequences.layer_data(p.layer))
    driver.submit(p.job, 0, p.descriptor)
    port.run(cycles)
    port.reset()


