"""Timelines of whole runs on a tiny accelerator: every item there, well named, tracks without overlap, sums right."""

import contextlib
import itertools
import json
from collections import Counter, defaultdict

import pytest

from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.timeline import UNITS, Timeline, summary, trace_text
from tests.integration.builds import QUAD, transport
from tests.integration.test_jobs import make

#: Workloads of two layers: name → what `make` is given.
WORKLOADS = {
    "prompt": {"tokens": 14, "layers": 2, "threshold": 0.0},
    "prompt with replays": {"tokens": 14, "layers": 2, "threshold": 0.3},
    "generation": {"tokens": 14, "queries": 3, "layers": 2, "threshold": 0.0},
    "generation with replays": {"tokens": 14, "queries": 3, "layers": 2, "threshold": 1.0},
}


@pytest.fixture(scope="module", params=[(w, h) for w in WORKLOADS for h in (False, True)],
                ids=lambda p: f"{p[0]}{', hostile' if p[1] else ''}")
def recorded(request):
    """(timeline, result) of a run on plain or hostile memories."""
    name, hostile = request.param
    with transport(QUAD, hostile=hostile) as port:
        port.record()
        result = run_workload(make(3, **WORKLOADS[name]), QUAD, "rtl", lambda _: contextlib.nullcontext(port))
        assert result.bit_exact, result.mismatches
        timeline = Timeline.of(port, [(s.step, s.layer) for s in result.outputs.layers])
    return timeline, result


def test_every_item_passes_every_unit_once(recorded):
    timeline, result = recorded
    assert len(timeline.jobs) == len(result.outputs.layers)
    for job, stats in zip(timeline.jobs, result.outputs.layers, strict=True):
        generate = job.step is not None
        assert (job.step or 0, job.layer) == (stats.step, stats.layer)
        assert stats.queries == stats.heads * (1 if generate else stats.tokens)
        of = defaultdict(list)
        for e in job.events:
            assert job.first <= e.first <= e.last <= job.last
            of[e.unit].append(e)
        wanted = {(e.head, e.query) for e in of["fetch Q"]}
        assert len(wanted) == stats.queries and len({h for h, _ in wanted}) == stats.heads
        flat = Counter((e.head, e.query) for e in of["decision"])
        assert sum(flat.values()) == stats.refetched and set(flat.values()) <= {1}
        once = Counter(wanted)
        for unit in ("softmax", "top-k", "P×V"):
            assert Counter((e.head, e.query) for e in of[unit]) == once, unit
        assert Counter((e.head, e.query) for e in of["write"] if e.what == "") == once
        assert Counter((e.head, e.query) for e in of["Q×K"] if e.what == "") == once
        assert Counter((e.head, e.query) for e in of["Q×K"] if e.what == "LSB") == flat
        # In a prompt a flat query comes again as a whole, in generation only its K.
        comes = once if generate else once + flat
        assert Counter((e.head, e.query) for e in of["fetch Q"]) == comes
        slots = [e for e in job.events if e.unit.startswith("slot")]
        assert Counter((e.head, e.query) for e in slots) == comes
        whats = {what: Counter(e.kv_head for e in of[f"fetch {what[0]}"] if e.what == what)
                 for what in ("K", "K LSB", "K fill", "K LSB fill", "V fill", "V LSB fill")}
        heads = {e.kv_head for e in of["softmax"]}
        if generate:
            assert set(whats["K"]) == heads and not of["fetch V"]
            assert set(whats["K LSB"]) == {e.kv_head for e in of["decision"]}
        else:
            assert whats["K fill"] == whats["V fill"] == Counter(heads)
            assert whats["K LSB fill"] == Counter({e.kv_head for e in of["decision"]})
        assert [e.what for e in of["cascade"]] == ["prepare", "finish"]


def test_items_move_forward(recorded):
    """Scored, normalised, chosen, summed, written: in this order for every item."""
    timeline, _ = recorded
    for job in timeline.jobs:
        path = defaultdict(dict)
        for e in job.events:
            if e.head is not None and e.what != "flat" and not e.unit.startswith("slot"):
                path[e.head, e.query].setdefault((e.unit, e.what), e)
        for at in path.values():
            first, last = at["Q×K", ""], at.get(("Q×K", "LSB"), at["Q×K", ""])
            assert first.first + at["softmax", ""].extra["latency"] == at["softmax", ""].first
            assert at["fetch Q", ""].first <= first.last <= last.last
            assert first.first <= last.first < at["softmax", ""].first < at["top-k", ""].first < at["P×V", ""].last
            assert at["P×V", ""].last < at["write", ""].first


def test_trace_is_what_viewers_read(recorded):
    timeline, result = recorded

    def refuse(constant):
        raise ValueError(constant)

    text = trace_text(timeline)
    trace = json.loads(text, parse_constant=refuse)
    text.encode("utf-8")
    assert trace["otherData"]["config_hash"] == f"{QUAD.hash:08x}"
    names, threads = {}, defaultdict(list)
    for e in trace["traceEvents"]:
        assert {"name", "ph", "pid", "tid", "args"} <= set(e)
        if e["ph"] == "M":
            if e["name"] == "thread_name":
                names[e["pid"], e["tid"]] = e["args"]["name"]
        else:
            assert e["ph"] == "X" and e["dur"] >= 1 and e["ts"] >= 0
            assert all(type(v) is int for v in e["args"].values())
            threads[e["pid"], e["tid"]].append(e)
    assert set(threads) == set(names) and len(set(names.values())) == len(names)
    for events in threads.values():
        assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in itertools.pairwise(events))
    tracks = set(names.values())
    assert {u for u in UNITS if u not in ("decision", "fetch V")} <= tracks
    # Jobs overlap; commands wait in queues, and every slot may have one of Q×K.
    several = {f"{unit} ({n})" for unit in ("Q×K", "fetch Q", "fetch K", "fetch V") for n in range(2, QUAD.slots + 1)}
    assert {t for t in tracks if t.endswith(")")} <= {"sequencer (2)"} | several
    labels = {e["name"] for events in threads.values() for e in events}
    stats = result.outputs.layers[-1]
    assert ({f"L{stats.layer}"} if timeline.jobs[0].step is None else {f"S{stats.step} L{stats.layer}"}) <= labels
    for job in timeline.jobs:
        for e in job.events:
            if e.unit == "softmax":
                where = f"L{job.layer} h{e.head}"
                where = f"{where} q{e.query}" if job.step is None else f"S{job.step} {where}"
                assert job.label(e) == where and where in labels


def test_summary_adds_up(recorded):
    timeline, result = recorded
    lines = summary(timeline).splitlines()
    layers = result.outputs.layers
    assert lines[0] == (f"timeline: {len(layers)} jobs, {timeline.cycles} cycles, "
                        f"{sum(s.queries for s in layers)} work items, {sum(s.refetched for s in layers)} replays "
                        "with LSBs")
    at = next(n for n, line in enumerate(lines) if line.startswith("layer"))
    for job, stats, line in zip(timeline.jobs, layers, lines[at + 1:at + 1 + len(layers)], strict=True):
        assert line.startswith(f"{job.name} ")
        cycles, count, replays, *phases = map(int, line[len(job.name):].split()[:8])
        assert (cycles, count, replays) == (job.cycles, stats.queries, stats.refetched)
        assert min(phases) > 0 and sum(phases) == cycles
    assert all(len(line) <= 120 for line in lines)
    shares = {line[:14].strip(): line[14:].split() for line in lines[3:14]}
    busy = sum(j.counts.streams["busy_score"].fired for j in timeline.jobs)
    rows = sum(e.rows for j in timeline.jobs for e in j.events if e.unit == "softmax")
    for unit, at, moves in (("Q×K", 0, busy), ("softmax", 1, rows)):
        assert float(shares[unit][at]) == pytest.approx(100 * moves / timeline.cycles, abs=0.051)


def test_layers_are_all_cycles_but_those_in_which_one_is_taken(recorded):
    """The sequencer takes a job in the cycle before it counts as running; it is busy already if another one runs."""
    timeline, result = recorded
    alone = sum(a.last < b.first for a, b in itertools.pairwise(timeline.jobs)) + 1
    assert timeline.cycles == result.cycles + alone
