"""A timeline in words: how busy each unit was, where it waited longest, how each layer filled and drained."""

from __future__ import annotations

from collections.abc import Callable

from .events import UNITS, Event
from .jobs import Job, Timeline

#: Per unit: the stream that leaves it, its state bit, its bit for "wanted data is missing" (performance counters).
_MEASURES: dict[str, tuple[str, str, str]] = {
    "cascade": ("", "busy_cascade", ""),
    "fetch Q": ("q_cmd", "", ""), "fetch K": ("", "", ""), "fetch V": ("", "", ""),
    "Q×K": ("", "busy_score", "stall_score"), "softmax": ("probs", "busy_softmax", ""),
    "top-k": ("kept", "busy_topk", ""), "P×V": ("sums", "busy_value", "stall_value"),
    "write": ("beats", "busy_write", ""),
}
#: Layers shown; more are cut in the middle.
_SHOWN = 24
#: Tracks with first and last activity per layer.
_SPANNED = ("fetch Q", "fetch K", "fetch V", "Q×K", "softmax", "top-k", "P×V", "write")


def summary(timeline: Timeline) -> str:
    """The text for a terminal, up to 120 columns."""
    jobs = timeline.jobs
    if not jobs:
        return "timeline: no job has finished"
    cycles = timeline.cycles
    items = sum(_items(j) for j in jobs)
    replays = sum(_replays(j) for j in jobs)
    lines = [f"timeline: {len(jobs)} jobs, {cycles} cycles, {items} work items, {replays} replays with LSBs"]
    if timeline.dropped:
        lines.append(f"{timeline.dropped} vectors found no room in the recording: the last jobs lack events or are "
                     "missing")
    lines += ["", *_units(timeline, cycles), "", *_phases(timeline), "", *_activity(timeline)]
    return "\n".join(lines)


def _items(job: Job) -> int:
    return sum(e.unit == "softmax" for e in job.events)


def _replays(job: Job) -> int:
    return sum(e.unit == "decision" for e in job.events)


# -- units ----------------------------------------------------------------------------------------------------------


def _units(timeline: Timeline, cycles: int) -> list[str]:
    """Shares of all cycles in which a job ran, and the longest pause between two activities of a job."""
    def share(kind: str, *streams: str) -> str:
        if not all(streams):
            return f"{'-':>9}"
        total = sum(getattr(j.counts.streams[s], kind) for j in timeline.jobs if j.counts for s in streams)
        return f"{100 * total / (cycles * len(streams)):>9.1f}"

    lines = [f"{'% of cycles':<14}" + "".join(f"{c:>9}" for c in ("busy", "moves", "blocked", "no data"))
             + "   longest pause inside a layer"]
    for unit, (stream, busy, stall) in _MEASURES.items():
        pause = "-" if unit == "cascade" else _pause(timeline, unit)
        lines.append(f"{unit:<14}{share('fired', busy)}{share('fired', stream)}{share('blocked', stream)}"
                     f"{share('fired', stall)}   {pause}")
    reads, writes = ([f"{name}{i}" for i in range(timeline.config.channels)] for name in ("r", "w"))
    lines.append(f"{'memory read':<14}{share('fired', 'busy_fetch')}{share('fired', *reads)}{share('blocked', *reads)}"
                 f"{share('fired', 'stall_fetch')}")
    lines.append(f"{'memory write':<14}{share('fired', '')}{share('fired', *writes)}{share('blocked', *writes)}"
                 f"{share('fired', '')}")
    return lines


def _pause(timeline: Timeline, unit: str) -> str:
    longest, where = 0, ""
    for job in timeline.jobs:
        end = None
        for e in job.events:
            if e.unit != unit:
                continue
            if end is not None and e.first - end - 1 > longest:
                longest, where = e.first - end - 1, f"{e.first - end - 1} from {end + 1}, before {job.label(e)}"
            end = e.last if end is None else max(end, e.last)
    return where or "-"


# -- layers ---------------------------------------------------------------------------------------------------------


def _phases(timeline: Timeline) -> list[str]:
    """Where the cycles of each layer went; the five parts add up to the layer, which may begin before the one before it
    ends."""
    columns = ("cycles", "items", "replays", "prepare", "fill", "scoring", "drain", "finish", "Q×K busy")
    lines = ["layer".ljust(12) + "".join(f"{c:>9}" for c in columns[:-1]) + f"{columns[-1]:>11}"]
    return lines + _cut(timeline, lambda job: _phase_line(job))


def _phase_line(job: Job) -> str:
    prepared = _last(job, "cascade", "prepare")
    scores = [e for e in job.events if e.unit == "Q×K"]
    line = f"{job.name:<12}{job.cycles:>9}{_items(job):>9}{_replays(job):>9}"
    written = _last(job, "write", "")
    if prepared is None or written is None or not scores:
        return line + "  (no work)"
    first, last = scores[0].first, max(e.last for e in scores)
    parts = (prepared - job.first + 1, first - prepared - 1, last - first + 1, written - last, job.last - written)
    line += "".join(f"{p:>9}" for p in parts)
    if job.counts is None:
        return line
    return line + f"{100 * job.counts.streams['busy_score'].fired / job.counts.cycles:>9.1f} %"


def _last(job: Job, unit: str, what: str) -> int | None:
    return max((e.last for e in job.events if e.unit == unit and e.what == what), default=None)


def _activity(timeline: Timeline) -> list[str]:
    """First and last activity of the units in each layer, in cycles from its start."""
    lines = ["first-last".ljust(12) + "".join(f"{u:>13}" for u in _SPANNED)]

    def line(job: Job) -> str:
        cells = []
        for unit in _SPANNED:
            here: list[Event] = [e for e in job.events if e.unit == unit and e.what != "state"]
            cells.append(f"{here[0].first - job.first}-{max(e.last for e in here) - job.first}" if here else "-")
        return f"{job.name:<12}" + "".join(f"{c:>13}" for c in cells)

    return lines + _cut(timeline, line)


def _cut(timeline: Timeline, line: Callable[[Job], str]) -> list[str]:
    jobs = timeline.jobs
    if len(jobs) <= _SHOWN:
        return [line(j) for j in jobs]
    half = _SHOWN // 2
    return [*(line(j) for j in jobs[:half]), f"  ... {len(jobs) - 2 * half} more", *(line(j) for j in jobs[-half:])]


assert set(_MEASURES) <= set(UNITS)
