"""Recorded vectors turned into events: which unit, which job, which work item.

Streams say little of what they carry: a score row has only its slot, a K row not even that. The rest follows from
order: a slot belongs to the item whose `meta` took it last, rows come in the order of their commands, output beats
in that of the sums.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from spatten_hw.sim.harness.streams import RESET, Span

#: The tracks, in the order of the paper's Figure 8.
UNITS = ("sequencer", "cascade", "fetch Q", "fetch K", "fetch V", "Q×K", "softmax", "decision", "top-k", "P×V", "write")
#: Tracks of the score slots are called this and the slot's number.
SLOT = "slot"


@dataclass(frozen=True)
class Event:
    """One thing a unit did in cycles `first` … `last` (both included).

    `what`: the kind, empty for the plain work of the unit on an item. `head`, `query`: the work item; `kv_head`
    alone: all items of that K/V head. `rows` moved, `blocked` cycles a row was not taken. `extra`: more figures.
    """

    unit: str
    first: int
    last: int
    what: str = ""
    head: int | None = None
    kv_head: int | None = None
    query: int | None = None
    rows: int = 0
    blocked: int = 0
    extra: dict[str, int] = field(default_factory=dict)


Item = tuple[int | None, int | None, int | None]
_NOBODY: Item = (None, None, None)


class Walk:
    """Goes through spans in the order in which they ended and knows who is where."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """After a reset nothing is anywhere."""
        self.slots: dict[int, tuple[Item, int]] = {}   # owner, since when
        self.scored: dict[Item, int] = {}              # cycle of an item's last score row
        self.queues: dict[str, deque[Span]] = {n: deque() for n in ("q_cmd", "k_cmd", "v_cmd", "v_kept", "kept")}
        self.streamed: deque[Span] = deque()           # V rows of kept values
        self.sums: deque[Item] = deque()
        self.op: Span | None = None
        self.sum_end = -1

    def events(self, spans: Sequence[Span]) -> list[Event]:
        found = []
        for s in spans:
            if s.stream == RESET:
                self.forget()
                continue
            handle = getattr(self, f"_{s.stream}", None)
            if s.stream in self.queues:
                self.queues[s.stream].append(s)
            if handle is not None:
                event = handle(s)
                if event is not None:
                    found.append(event)
        return found

    def _pop(self, name: str) -> Span | None:
        queue = self.queues[name]
        return queue.popleft() if queue else None

    def _owner(self, s: Span) -> Item:
        return self.slots.get(s.key["slot"], (_NOBODY, 0))[0]

    def _prune(self, s: Span) -> None:
        self.op = s

    def _pruned(self, s: Span) -> Event | None:
        op, self.op = self.op, None
        return op and Event("cascade", op.last, s.last, "finish" if op.key["finish"] else "prepare")

    def _state(self, s: Span) -> Event:
        return Event("write", s.first, s.last, "state", rows=s.rows, blocked=s.blocked)

    def _meta(self, s: Span) -> None:
        k = s.key
        self.slots[k["slot"]] = (k["head"], k["kv_head"], k["query"]), s.last

    def _flat(self, s: Span) -> Event:
        return _event("decision", s, self._owner(s), "flat")

    def _free(self, s: Span) -> Event | None:
        if s.key["slot"] not in self.slots:
            return None
        item, since = self.slots.pop(s.key["slot"])
        return Event(f"{SLOT} {s.key['slot']}", since, s.last, "", *item)

    def _q_rows(self, s: Span) -> Event:
        return _event("fetch Q", s, self._owner(s), asked=self._pop("q_cmd"))

    def _k_rows(self, s: Span) -> Event:
        command = self._pop("k_cmd")
        what = "K" if command is None else "K fill" if command.key["fill"] else "K LSB" if command.key["lsb"] else "K"
        return _event("fetch K", s, (None, command.key["kv_head"] if command else None, None), what, asked=command)

    def _v_rows(self, s: Span) -> Event:
        if s.key["fill"]:
            command = self._pop("v_cmd")
            owner: Item = (None, command.key["kv_head"] if command else None, None)
            return _event("fetch V", s, owner, "V fill", asked=command)
        self.streamed.append(s)
        kept = self._pop("v_kept")
        return _event("fetch V", s, _item(kept) if kept else _NOBODY, "V", asked=kept)

    def _scores(self, s: Span) -> Event:
        item = self._owner(s)
        self.scored[item] = s.last
        return _event("Q×K", s, item, "LSB" if s.key["replay"] else "")

    def _probs(self, s: Span) -> Event:
        item = _item(s)
        e = _event("softmax", s, item)
        if item in self.scored:
            e.extra["latency"] = s.first - self.scored.pop(item)
        return e

    def _kept(self, s: Span) -> Event:
        return _event("top-k", s, _item(s))

    def _sums(self, s: Span) -> Event:
        """Sums alone leave P×V: it is said to work on them from the first row it could use on, one after another."""
        item = _item(s)
        self.sums.append(item)
        kept = self._pop("kept")
        source = (self.streamed.popleft() if self.streamed else None) if s.key["stream_v"] else kept
        first = min(s.last, max(self.sum_end + 1, source.first if source else s.first))
        self.sum_end = s.last
        return Event("P×V", first, s.last, "", *item, source.rows if source else 0, s.blocked)

    def _beats(self, s: Span) -> Event:
        return _event("write", s, self.sums.popleft() if self.sums else _NOBODY)


def _item(s: Span) -> Item:
    return s.key["head"], s.key["kv_head"], s.key["query"]


def _event(unit: str, s: Span, item: Item, what: str = "", asked: Span | None = None) -> Event:
    extra = {} if asked is None else {"asked": asked.last}
    return Event(unit, s.first, s.last, what, *item, s.rows, s.blocked, extra)
