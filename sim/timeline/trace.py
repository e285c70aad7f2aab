"""Timelines in the Trace Event Format that Perfetto and chrome://tracing open; 1 cycle is shown as 1 µs.

Format: "Trace Event Format" (Google): "X" complete events with `ts` and `dur`, "M" metadata that names and sorts
processes and threads. A process per group of tracks, a thread per track. Events of a thread never overlap, for viewers
nest what does: what a unit does at once (the queries of a gang in Q×K) goes to further threads "unit (2)", ….
"""

from __future__ import annotations

import json
from typing import Any

from .events import SLOT, UNITS, Event
from .jobs import Job, Timeline

#: Processes: the units, the score slots.
_UNITS_PID, _SLOTS_PID = 1, 2
#: Thread numbers a unit may use for what it does at once.
_SPREAD = 64


def chrome_trace(timeline: Timeline) -> dict[str, Any]:
    """The trace as one JSON object: `traceEvents`, and under `otherData` what was run."""
    config = timeline.config
    tracks: dict[tuple[int, int], str] = {}
    records = []
    for e, job, pid, tid in _placed(timeline, tracks):
        records.append({"name": job.label(e), "cat": e.unit, "ph": "X", "ts": e.first, "dur": e.last - e.first + 1,
                        "pid": pid, "tid": tid, "args": _args(e, job)})
    names = {_UNITS_PID: f"{config.name} {config.hash:08x}", _SLOTS_PID: "score slots"}
    head: list[dict[str, Any]] = []
    for pid, name in names.items():
        head.append({"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}})
        head.append({"name": "process_sort_index", "ph": "M", "pid": pid, "tid": 0, "args": {"sort_index": pid}})
    for (pid, tid), name in sorted(tracks.items()):
        head.append({"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}})
        head.append({"name": "thread_sort_index", "ph": "M", "pid": pid, "tid": tid, "args": {"sort_index": tid}})
    return {"traceEvents": head + records, "displayTimeUnit": "ns",
            "otherData": {"preset": config.name, "config_hash": f"{config.hash:08x}", "unit": "1 us = 1 cycle",
                          "jobs": len(timeline.jobs), "vectors_not_recorded": timeline.dropped}}


def trace_text(timeline: Timeline) -> str:
    """The trace as JSON text, one event per line."""
    trace = chrome_trace(timeline)
    events = ",\n".join(json.dumps(e, allow_nan=False, ensure_ascii=False) for e in trace.pop("traceEvents"))
    rest = json.dumps(trace, allow_nan=False)[1:-1]
    return f'{{"traceEvents": [\n{events}\n], {rest}}}\n'


def _placed(timeline: Timeline, tracks: dict[tuple[int, int], str]):
    """Every event with its process and a thread that is free; names the threads in `tracks`."""
    busy: dict[tuple[int, int], int] = {}
    for job in timeline.jobs:
        for e in job.events:
            slot = e.unit.startswith(SLOT)
            pid = _SLOTS_PID if slot else _UNITS_PID
            base = int(e.unit[len(SLOT):]) + 1 if slot else _SPREAD * (1 + UNITS.index(e.unit))
            tid = next(t for t in range(base, base + _SPREAD) if busy.get((pid, t), -1) < e.first)
            busy[pid, tid] = e.last
            tracks[pid, tid] = e.unit if tid == base else f"{e.unit} ({tid - base + 1})"
            yield e, job, pid, tid


def _args(e: Event, job: Job) -> dict[str, int]:
    """Everything known of an event."""
    known = {"job": job.number, "step": job.step, "layer": job.layer, "head": e.head, "kv_head": e.kv_head,
             "query": e.query if job.step is None else None, "rows": e.rows, "blocked": e.blocked, **e.extra}
    return {name: value for name, value in known.items() if value is not None}
