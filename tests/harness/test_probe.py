"""What the probe counts and records on a real accelerator, against the performance counters and the memories."""

import contextlib

import numpy as np
import pytest

from spatten_hw.host.driver import Driver
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.probe import LEVELS, STREAMS, WORD, observed, probe_layout
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.harness.library import HarnessError
from spatten_hw.sim.harness.streams import RESET, SPAN, decode_spans
from spatten_hw.top import Top
from tests.integration.builds import BUILDS, QUAD, transport
from tests.integration.test_jobs import load, make

from .test_harness import NARROW, toy


def run(port, workload):
    """A workload on a fresh simulation; its golden comparison must hold."""
    result = run_workload(workload, QUAD, "rtl", lambda _: contextlib.nullcontext(port))
    assert result.bit_exact, result.mismatches
    return result


@pytest.mark.parametrize("queries", [None, 3])
@pytest.mark.parametrize("hostile", [False, True])
def test_counts_agree_with_the_hardware(queries, hostile):
    workload = make(3, tokens=16, queries=queries, layers=2)
    with transport(QUAD, hostile=hostile) as port:
        port.record()
        port.run(10)  # what the reset leaves
        before = port.cycles
        port.clear_streams()
        result = run(port, workload)
        counters = Driver(QUAD, port).counters().values
        streams, jobs, spans, traffic = port.streams(), port.job_streams(), port.spans(), port.traffic()
        assert {s.cycles for s in streams.values()} == {port.cycles - before}
        assert port.spans_dropped == 0

        # State bits are events of the counters; other counters count what streams carry.
        for level in LEVELS:
            assert streams[level.name].blocked == 0
            if level.name not in ("running", "queued"):
                assert streams[level.name].fired == counters[level.name], level.name
        assert streams["running"].fired == counters["cycles"] == result.cycles
        queries_, again = counters["queries"], counters["refetches"]
        # A flat query of a prompt comes again, in a slot of its own; in generation it keeps its slot.
        slots = queries_ + (again if queries is None else 0)
        assert streams["meta"].fired == streams["q_cmd"].fired == streams["free"].fired == slots
        assert streams["score_cmd"].fired == (slots if queries is None else 0)
        assert streams["sums"].fired == queries_ * (16 // QUAD.chunk)
        assert streams["flat"].fired == queries_ and again > 0
        assert sum(s.key["flat"] for s in spans if s.stream == "flat") == again
        beat = QUAD.beat_bytes
        assert sum(streams[f"r{i}"].fired for i in range(2)) * beat == traffic.bytes_read
        assert sum(streams[f"ar{i}"].fired for i in range(2)) == traffic.read_bursts
        assert streams["beats"].fired * beat == counters["bytes_out"]
        assert all(bool(streams[name].blocked) == hostile for name in ("ar0", "ar1", "w0", "w1"))

        # Spans say the same as counts, vector by vector.
        for o in STREAMS:
            mine = [s for s in spans if s.stream == o.name]
            assert sum(s.rows for s in mine) == streams[o.name].fired, o.name
            assert sum(s.blocked for s in mine) == streams[o.name].blocked, o.name
            assert all(s.idle >= 0 and list(s.key) == [p.rpartition(".")[2] for p in o.key] for s in mine)
        assert sum(s.stream == "kept" for s in spans) == counters["topk_vectors"] == counters["queries"]
        assert [s.last for s in spans] == sorted(s.last for s in spans)

        # Jobs: nothing but offers of the next job happens between them; each counts from the end of the one before.
        assert len(jobs) == len(result.outputs.layers)
        taken = [s.last for s in spans if s.stream == "jobs"]
        ends = [0, *(j.last for j in jobs)]
        assert [j.first for j in jobs] == [max(t, e + 1) for t, e in zip(taken, ends, strict=False)]
        for name in ("probs", "kept", "sums", "busy_topk", "stall_score"):
            assert sum(j.streams[name].fired for j in jobs) == streams[name].fired
        assert all(s.cycles == j.cycles for j in jobs for s in j.streams.values())


def test_queries_of_a_gang_go_together():
    """One walk over K rows for all queries of a group, as they have their slots; no row of a vector is missing."""
    numbers = np.random.default_rng(8)
    arrays = {n: numbers.normal(size=(1, heads, rows, 16)) for n, heads, rows in
              (("q", 3, 1), ("k", 1, 10), ("v", 1, 10))}
    with transport(QUAD) as port:
        port.record()
        run(port, make_workload(arrays, {"stage": "generate", "k_bits": [8, 0], "v_bits": [8, 0]}))
        spans = port.spans()
    walks, slots, vectors = ([s for s in spans if s.stream == name] for name in ("k_walk", "meta", "probs"))
    assert [s.key for s in walks] == [{"kv_head": 0, "slot": 0, "members": 0b111, "lsb": 0}]
    assert [s.key["slot"] for s in slots] == [0, 1, 2] and slots[-1].last <= walks[0].first
    assert [s.key["head"] for s in vectors] == [0, 1, 2] and {s.rows for s in vectors} == {-(-10 // QUAD.slices)}


def test_reset_ends_everything_unfinished():
    workload = make(4)
    plan = Plan(workload, QUAD)
    with transport(QUAD) as port:
        port.record()
        driver = Driver(QUAD, port)
        load(driver, plan, plan.passes[0])
        driver.submit(plan.passes[0].job, 0, plan.passes[0].descriptor)
        port.run(900)
        assert port.streams()["probs"].fired > 0 and port.job_streams() == []
        port.reset()
        again = port.cycles
        run(port, workload)
        spans = port.spans()
        cut = next(n for n, s in enumerate(spans) if s.stream == RESET)
        assert all(s.first >= again for s in spans[cut + 1:])
        assert len(port.job_streams()) == 3


def test_limit_and_switching_off():
    with transport(QUAD) as port:
        port.record(limit=50)
        run(port, make(5))
        assert len(port.spans()) == 50 and port.spans_dropped > 100
        port.record(False)
        port.clear_streams()
        assert port.spans() == [] and port.streams()["meta"] == (0, 0, 0) and port.job_streams() == []


def test_a_library_without_probe_says_so():
    with toy(NARROW) as t:
        t.run(5)
        for call in (t.streams, t.record, t.spans, t.job_streams):
            with pytest.raises(HarnessError, match="built without a probe"):
                call()


@pytest.mark.parametrize("config", BUILDS.values(), ids=list(BUILDS))
def test_layout(config):
    """Whole words, one bit per stream, and no probe in what users generate."""
    layout = probe_layout(config)
    assert all(field.offset % WORD == 0 for _, field in layout)
    assert layout["valid"].width >= len(observed(config)) > len(STREAMS) + len(LEVELS)
    plain, probed = Top(config), Top(config, probe=True)
    for top in (plain, probed):
        top._MustUse__silence = True
    assert "probe" not in plain.signature.members
    assert set(probed.signature.members) == {*plain.signature.members, "probe"}
    assert probed.signature.members["probe"].shape == layout.size


def test_decode():
    names = [o.name for o in observed(QUAD)]
    record = np.array([(5, 9, 0b1_0011 | 1 << 30, names.index("flat"), 3, 1, 0), (7, 7, 0, 2**32 - 1, 0, 0, 0)],
                      dtype=SPAN)
    spans = decode_spans(QUAD, record)
    assert spans[0][:5] == ("flat", 5, 9, 3, 1) and spans[0].idle == 1
    assert spans[0].key == {"slot": 0b11, "flat": 0}
    assert spans[1].stream == RESET
