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


def walk(cycle, slot, members, kv_head=0, lsb=0):
    return span("k_walk", cycle, kv_head=kv_head, slot=slot, members=members, lsb=lsb)


def test_a_gang_spreads_over_threads():
    """Two queries share the rows of K from the last slot to the first one; then one of them again, with LSBs."""
    inside = [meta(11, 3, 0), meta(12, 0, 1), walk(20, 3, 0b11), span("free", 28, slot=3),
              span("flat", 29, slot=0, flat=1), meta(31, 1, 2), walk(32, 0, 0b1, lsb=1), span("free", 40, slot=0),
              walk(41, 1, 0b1, 1), span("free", 50, slot=1)]
    found = threads(build(QUAD, job(10, 60, *inside, generate=1), names=[(3, 1)]))
    assert found["Q×K"] == ["S3 L1 h0", "S3 L1 h1 LSB", "S3 L1 h2"] and found["Q×K (2)"] == ["S3 L1 h1"]
    assert found["fetch K"] == ["S3 L1 kv0 K", "S3 L1 kv0 K LSB", "S3 L1 kv1 K"]
    assert found["decision"] == ["S3 L1 h1 flat"]


def test_a_flat_query_of_a_prompt_comes_again():
    inside = [meta(11, 2, 0, 5), span("score_cmd", 12, slot=2, keys=9), span("flat", 20, slot=2, flat=1),
              span("free", 21, slot=2), meta(22, 3, 1, 6), span("score_cmd", 23, slot=3, keys=9),
              span("flat", 30, slot=3, flat=0), span("free", 31, slot=3),
              meta(32, 0, 0, 5), span("score_cmd", 33, slot=0, keys=9), span("free", 40, slot=0)]
    found = threads(build(QUAD, job(10, 60, *inside)))
    assert found["Q×K"] == ["job 0 h0 q5", "job 0 h1 q6", "job 0 h0 q5 LSB"]
    assert found["decision"] == ["job 0 h0 q5 flat"]


def test_a_slot_belongs_to_whom_it_was_given_last():
    inside = [meta(11, 2, 0, 5), span("free", 20, slot=2), meta(21, 2, 1, 6), span("flat", 33, slot=2, flat=1),
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
    def fill(cycle, kv_head):
        return Span("fill", cycle - 4, cycle, 1, 0, {"kv_head": kv_head, "rows": 4, "value": 0, "lsb": 0})

    lost = [span("jobs", 5, tag=0, error=0, generate=0), meta(6, 0), fill(8, 3),
            span("score_cmd", 9, slot=0, keys=4), span(RESET, 10)]
    kept = job(20, 40, fill(26, 1), span("free", 30, slot=0))
    timeline = build(QUAD, lost + kept)
    (only,) = timeline.jobs
    assert only.first == 20 and {e.unit for e in only.events} == {"sequencer", "fetch K"}
    (rows,) = [e for e in only.events if e.unit == "fetch K"]
    assert (only.label(rows), rows.extra) == ("job 0 kv1 K fill", {"keys": 4})


def test_recording_that_begins_late_still_has_events():
    """Vectors whose command was not seen have no item, not a wrong one."""
    late = job(10, 60, walk(20, 1, 0b1, 3), span("free", 30, slot=1), span("pruned", 35, error=0),
               span("beats", 40, 44, 5))
    found = threads(build(QUAD, late))
    assert found == {"sequencer": ["job 0"], "Q×K": ["job 0"], "fetch K": ["job 0 kv3 K"], "write": ["job 0"]}


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
