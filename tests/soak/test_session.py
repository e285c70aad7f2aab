"""Cases: state of two workloads kept apart, data anywhere, differences noticed and written down."""

import dataclasses
import json
import random
import tomllib
from pathlib import Path

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload, read_workload
from spatten_hw.sim.golden.cascade import CascadeError
from spatten_hw.sim.golden.integer_engine import golden_results
from spatten_hw.sim.harness.build import build_accelerator
from spatten_hw.sim.soak import session
from spatten_hw.sim.soak.build import Built
from spatten_hw.sim.soak.memory import random_memory
from spatten_hw.sim.soak.placement import LooseArena, LoosePlan
from spatten_hw.sim.soak.reproducer import save_case, save_config
from spatten_hw.sim.soak.sequences import Sequences
from spatten_hw.sim.soak.session import Work, draw_case, run_case, work
from spatten_hw.sim.soak.workload import random_queries, random_workload

from ..integration.builds import LEAST, QUAD


@pytest.fixture(scope="module")
def simulate():
    return Built(build_accelerator(LEAST), 0, 0, 0).simulate


#: Several queries per job.
TOGETHER = QUAD.replace(name="together", chunk_queries=1)


def two(seed: int, config: SpAttenConfig) -> tuple[list, list]:
    """Two random workloads of one build, of several queries per job where it can, and what each gives alone."""
    rng = random.Random(seed)
    workloads = []
    for _ in range(2):
        arrays, job = random_workload(rng, config, 20, stage="generate" if config.chunk_queries else None)
        workloads.append(make_workload(*(random_queries(rng, arrays, job) if config.chunk_queries else (arrays, job))))
    return workloads, [golden_results(Plan(w, config), config) for w in workloads]


def interleaved(seed: int, workloads: list, config: SpAttenConfig) -> Sequences:
    rng = random.Random(seed)
    arena = LooseArena(config, 0, rng)
    return Sequences([LoosePlan(w, config, arena=arena) for w in workloads], rng, 0.3, 0.3)


def as_alone(sequences: Sequences, alone: list, config: SpAttenConfig) -> bool:
    """Whether every job of the interleaved workloads gives what it gives without the other."""
    found: list[list] = [[], []]
    try:
        results = sequences.golden(config)
    except CascadeError:
        return False
    for p, result in zip(sequences.passes, results, strict=True):
        found[p.label.startswith("workload 2")].append(result)
    return all(
        np.array_equal(a.out, b.out) and np.array_equal(a.ids, b.ids) and np.array_equal(a.token_scores, b.token_scores)
        for mixed, single in zip(found, alone, strict=True) for a, b in zip(mixed, single, strict=True))


@pytest.mark.parametrize("config", [QUAD, TOGETHER], ids=lambda c: c.name)
def test_two_workloads_are_as_if_alone_since_they_load_their_state(config):
    """Also where a job brings several tokens: their scores begin at 0, behind those that were stored."""
    wrong = 0
    for seed in range(8):
        workloads, alone = two(seed, config)
        sequences = interleaved(seed, workloads, config)
        assert as_alone(sequences, alone, config), seed
        sequences.source = [None] * len(sequences.source)
        sequences.passes = [dataclasses.replace(p, job=p.job.replace(load_ids=0, load_scores=0), new_token=None)
                            for p in sequences.passes]
        wrong += not as_alone(sequences, alone, config)
    assert wrong >= 4, "loading makes no difference"


def test_cases_are_what_their_names_say():
    a, b, c = (draw_case(QUAD, name, None) for name in ("1 1 1", "1 1 1", "1 1 2"))
    assert a.jobs == b.jobs and a.memory == b.memory and a.features == b.features
    assert [p.job for p in a.sequences.passes] == [p.job for p in b.sequences.passes]
    assert a.jobs != c.jobs


def test_cases_reach_every_feature():
    seen = set()
    for n in range(150):
        seen |= {name for name, count in draw_case(QUAD, f"features {n}", None).features.items() if count}
    progressive = [f"{o} {w}" for o in "KV" for w in ("4+4", "6+4", "8+4", "4+0", "6+0", "8+0", "10+0", "12+0")]
    assert seen >= {
        "summarise", "generate", "mask none", "mask padding", "mask causal", "group 1", "group 2 or more", "D 8",
        "D 16", "D 32", "values ties", "values few values", "values zero", "values peak", "values scores",
        "barrier", "state loaded", "loose", "aligned", "two workloads", "top of the address space", "protected tokens",
        "tokens and heads pruned", "values pruned", "memory plain", "memory random", "memory hostile", *progressive,
        *(f"Q {b}" for b in (4, 6, 8, 10, 12))}


def test_a_bulk_case_has_many_queries():
    bulk = [draw_case(QUAD, f"{n} bulk", None).queries for n in range(10)]
    usual = [draw_case(QUAD, f"{n}", None).queries for n in range(10)]
    assert sum(bulk) > 3 * sum(usual) and sum(bulk) > 1000


def test_memories_are_of_every_kind():
    kinds = {random_memory(random.Random(n), 4, None).kind for n in range(50)}
    assert kinds == {"plain", "random", "hostile"}
    assert random_memory(random.Random(1), 4, "hbm2").kind == "dram"


def test_a_least_address_space_is_enough():
    tight = LEAST.replace(axi_addr_bits=16)
    for n in range(30):
        case = draw_case(tight, f"tight {n}", None)
        ends = [p.out.base + p.out.size(p.job.query_heads) for p in case.sequences.passes]
        assert max(ends) <= 1 << tight.addr_bits


def test_work_equals_the_golden_model(monkeypatch, simulate):
    monkeypatch.setattr(session, "CASES", 6)
    monkeypatch.setattr(session, "QUERIES", 300)
    done = work(LEAST, 1, simulate)
    assert not done.failures and done.cases >= 6
    assert done.queries >= 300 and done.cycles > 1000
    assert done.features["memory plain"] and done.features["summarise"]


def wrong_golden(sequences: Sequences, config: SpAttenConfig):
    """One output of the last job is off by one."""
    results = sequences.golden(config)
    last = results[-1]
    out = last.out.copy()
    out[tuple(np.argwhere(last.written)[0])] += 1
    return [*results[:-1], dataclasses.replace(last, out=out)]


def wrong_bytes(sequences: Sequences, config: SpAttenConfig):
    """A beat too much is counted."""
    results = sequences.golden(config)
    results[0].bytes["k_msb"] += config.beat_bytes
    return results


@pytest.mark.parametrize("golden, words", [(wrong_golden, "outputs differ"), (wrong_bytes, "bytes of k_msb")])
def test_a_difference_is_noticed_and_can_be_run_again(monkeypatch, simulate, tmp_path, golden, words):
    monkeypatch.setattr(session, "FAILURES", 1)
    done = work(LEAST, 2, simulate, golden)
    (case, wrong), = done.failures
    assert words in wrong[0]
    folder = save_config(tmp_path, 2, LEAST.fields, "\n".join(wrong))
    saved = json.loads(Path(save_case(folder, LEAST, case, wrong, [])).read_text())
    assert saved["differences"] == wrong
    assert SpAttenConfig(**tomllib.loads((folder / "config.toml").read_text())) == LEAST
    for number, job in enumerate(case.jobs, 1):
        again = read_workload(folder / f"{case.name.replace(' ', '-')}-{number}.npz")
        assert again.shape == make_workload(case.arrays[number - 1], job).shape
    # Its name alone brings the case back, and the right golden model finds nothing.
    with simulate(LEAST) as port:
        assert not run_case(draw_case(LEAST, case.name, case.memory.dram), LEAST, port, Work())


def test_a_broken_rule_is_a_difference(simulate):
    case = draw_case(LEAST, "1 1 1", None)
    with simulate(LEAST) as port:
        port.set_read_guard([])
        assert "ProtocolError" in run_case(case, LEAST, port, Work())[0]


def test_bytes_that_no_counter_has_are_a_difference(monkeypatch, simulate):
    case = draw_case(LEAST, "1 1 1", None)
    with simulate(LEAST) as port:
        carried = port.class_bytes
        monkeypatch.setattr(port, "class_bytes", lambda: {"": (sum(carried()[""]), LEAST.beat_bytes)})
        assert "the memories carried" in run_case(case, LEAST, port, Work())[0]


def test_a_job_that_does_not_end_is_a_difference(monkeypatch, simulate):
    monkeypatch.setattr(session, "GRACE", 3000)
    monkeypatch.setattr(session, "SLACK", 1)
    case = draw_case(LEAST, "1 1 1", None)
    case.memory = dataclasses.replace(case.memory, trouble={"hold_r": True}, channel=None)
    done = Work()
    with simulate(LEAST) as port:
        assert run_case(case, LEAST, port, done)
    assert 3000 <= done.cycles < 200_000
