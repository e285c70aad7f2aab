"""Timelines of recordings written by hand: what overlaps, what is cut off, what is unknown."""

import pytest

from spatten_hw.sim.harness.streams import RESET, Span
from spatten_hw.sim.timeline import Recorder, chrome_trace, summary
from spatten_hw.sim.timeline.jobs import build
from tests.integration.builds import QUAD


def span(stream, first, last=None, rows=1, blocked=0, **key):
    return Span(stream, first, last or first, rows, blocked, key)


def job(first, last, *inside, generate=0, offered=None):
    return [span("jobs", offered or first, first, tag=0, error=0, generate=generate), *inside,
            span("completions", last, tag=0, error=0)]


def meta(cycle, slot, head=0, query=0):
    return span("meta", cycle, slot=slot, keys=4, head=head, kv_head=head // 2, query=query)


def threads(timeline):
    """Thread name → labels."""
    events = chrome_trace(timeline)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    found = {}
    for e in events:
        if e["ph"] == "X":
            found.setdefault(names[e["pid"], e["tid"]], []).append(e["name"])
    return found


def test_a_gang_spreads_over_threads():
    inside = [meta(11, 0, 0), meta(12, 1, 1), span("scores", 20, 28, 4, slot=0, replay=0),
              span("scores", 21, 29, 4, slot=1, replay=0), meta(31, 0, 2),
              span("scores", 40, 44, 4, slot=0, replay=0)]
    found = threads(build(QUAD, job(10, 60, *inside, generate=1), names=[(3, 1)]))
    assert found == {"sequencer": ["S3 L1"], "Q×K": ["S3 L1 h0", "S3 L1 h2"], "Q×K (2)": ["S3 L1 h1"]}


def test_a_slot_belongs_to_whom_it_was_given_last():
    inside = [meta(11, 2, 0, 5), span("free", 20, slot=2), meta(21, 2, 1, 6), span("flat", 33, slot=2),
              span("free", 50, slot=2)]
    timeline = build(QUAD, job(10, 60, *inside))
    found = threads(timeline)
    assert found["slot 2"] == ["job 0 h0 q5", "job 0 h1 q6"] and found["decision"] == ["job 0 h1 q6 flat"]
    assert [(e.first, e.last) for e in timeline.jobs[0].events if e.unit == "slot 2"] == [(11, 20), (21, 50)]


def test_a_job_begins_when_it_is_taken():
    timeline = build(QUAD, job(10, 60) + job(61, 90, offered=30))
    assert [(j.first, j.last, j.cycles) for j in timeline.jobs] == [(10, 60, 51), (61, 90, 30)]
    assert [j.name for j in timeline.jobs] == ["job 0", "job 1"]


def test_reset_forgets_what_was_under_way():
    lost = [span("jobs", 5, tag=0, error=0, generate=0), meta(6, 0), span("k_cmd", 7, kv_head=3, rows=4, lsb=0, fill=1),
            span(RESET, 9)]
    kept = job(20, 40, span("k_cmd", 21, kv_head=1, rows=4, lsb=0, fill=1), span("k_rows", 25, 30, 4, fill=1))
    timeline = build(QUAD, lost + kept)
    (only,) = timeline.jobs
    assert only.first == 20
    (rows,) = [e for e in only.events if e.unit == "fetch K"]
    assert (only.label(rows), rows.extra) == ("job 0 kv1 K fill", {"asked": 21})


def test_recording_that_begins_late_still_has_events():
    """Vectors whose command was not seen have no item, not a wrong one."""
    late = job(10, 60, span("scores", 20, 24, 4, slot=1, replay=0), span("k_rows", 20, 22, 3, fill=0),
               span("q_rows", 21, slot=0), span("free", 30, slot=1), span("pruned", 35, error=0),
               span("beats", 40, 44, 5), span("v_rows", 45, 47, fill=0))
    found = threads(build(QUAD, late))
    assert found == {"sequencer": ["job 0"], "Q×K": ["job 0"], "fetch K": ["job 0 K"], "fetch Q": ["job 0"],
                     "write": ["job 0"], "fetch V": ["job 0 V"]}


def test_what_was_dropped_is_said():
    text = summary(build(QUAD, job(10, 60), dropped=7))
    assert "7 vectors found no room" in text and "(no work)" in text
    assert summary(build(QUAD, [])) == "timeline: no job has finished"


def test_many_layers_are_cut():
    spans = [s for n in range(100) for s in job(100 * n + 1, 100 * n + 90)]
    lines = summary(build(QUAD, spans)).splitlines()
    assert sum("76 more" in line for line in lines) == 2 and len(lines) < 80


def test_nothing_recorded():
    with pytest.raises(ValueError, match="nothing has been recorded"):
        Recorder().timeline()
