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
        for unit in ("fetch Q", "softmax", "top-k", "P×V"):
            assert Counter((e.head, e.query) for e in of[unit]) == once, unit
        assert Counter((e.head, e.query) for e in of["write"] if e.what == "") == once
        assert Counter((e.head, e.query) for e in of["Q×K"] if e.what == "") == once
        assert Counter((e.head, e.query) for e in of["Q×K"] if e.what == "LSB") == flat
        assert Counter((e.head, e.query) for e in of["fetch V"] if e.what == "V") == (once if generate else flat)
        slots = [e for e in job.events if e.unit.startswith("slot")]
        assert Counter((e.head, e.query) for e in slots) == once
        heads = Counter(e.kv_head for e in of["fetch K"] if e.what == ("K" if generate else "K fill"))
        alive, streamed = {h for h, _ in wanted}, set(heads)
        assert set(heads.values()) == {1} and streamed <= alive
        # The rows of a head may come beside those of the head before, in one stream.
        assert alive - streamed <= ({h + 1 for h in streamed if h % 2 == 0} if generate else set())
        assert sum(e.what == "K LSB" for e in of["fetch K"]) == stats.refetched
        assert [e.what for e in of["cascade"]] == ["prepare", "finish"]


def test_items_move_forward(recorded):
    """Asked, fetched, scored, normalised, chosen, summed, written: in this order for every item."""
    timeline, result = recorded
    fetched = 0
    for job in timeline.jobs:
        path = defaultdict(dict)
        for e in job.events:
            if e.head is not None and e.what != "flat" and not e.unit.startswith("slot"):
                path[e.head, e.query][e.unit, e.what] = e
        for at in path.values():
            last_scores = at.get(("Q×K", "LSB"), at["Q×K", ""])
            assert at["fetch Q", ""].extra["asked"] < at["fetch Q", ""].first < at["Q×K", ""].first
            assert last_scores.last + at["softmax", ""].extra["latency"] == at["softmax", ""].first
            assert last_scores.last < at["softmax", ""].first < at["top-k", ""].first < at["P×V", ""].last
            assert at["P×V", ""].last < at["write", ""].first
            if ("fetch V", "V") in at:
                assert at["top-k", ""].first <= at["fetch V", "V"].extra["asked"] < at["fetch V", "V"].first
                assert at["fetch V", "V"].first <= at["P×V", ""].first
                fetched += 1
    # In a prompt only flat rows fetch V again.
    generate = timeline.jobs[0].step is not None
    assert fetched == sum(s.queries if generate else s.refetched for s in result.outputs.layers)


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
    assert {u for u in UNITS if u != "decision"} <= tracks
    # Jobs overlap; two heads of which one stream brings K take turns on Q×K.
    pairs = set() if timeline.jobs[0].step is None else {"Q×K (2)"}
    assert {t for t in tracks if t.endswith(")")} <= {"sequencer (2)"} | pairs
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
    moves = sum(e.rows for j in timeline.jobs for e in j.events if e.unit == "Q×K")
    cycles = timeline.cycles
    assert float(shares["Q×K"][1]) == pytest.approx(100 * moves / cycles, abs=0.051)


def test_layers_are_all_cycles_but_those_in_which_one_is_taken(recorded):
    """The sequencer takes a job in the cycle before it counts as running; it is busy already if another one runs."""
    timeline, result = recorded
    alone = sum(a.last < b.first for a, b in itertools.pairwise(timeline.jobs)) + 1
    assert timeline.cycles == result.cycles + alone
