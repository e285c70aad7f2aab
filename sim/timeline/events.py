"""Recorded vectors turned into events: which unit, which job, which work item.

Streams say little of what they carry: a command of Q×K has only its slot, an output beat not even that. The rest
follows from order: a slot belongs to the item whose `meta` took it last, output beats come in the order of the sums.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from spatten_hw.config import SpAttenConfig
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

    def __init__(self, config: SpAttenConfig) -> None:
        self.config = config
        self.forget()

    def forget(self) -> None:
        """After a reset nothing is anywhere."""
        self.slots: dict[int, tuple[Item, int]] = {}   # owner, since when
        self.commands: dict[int, Span] = {}            # what Q×K was told to do for a slot
        self.begun: dict[Item, int] = {}               # cycle of an item's first command
        self.flats: set[Item] = set()                  # items whose LSBs were asked for
        self.kept: dict[Item, Span] = {}
        self.sums: deque[Item] = deque()
        self.op: Span | None = None
        self.sum_end = -1

    def events(self, spans: Sequence[Span]) -> list[Event]:
        found: list[Event] = []
        for s in spans:
            if s.stream == RESET:
                self.forget()
                continue
            handle = getattr(self, f"_{s.stream}", None)
            if handle is not None:
                found += handle(s) or ()
        return found

    def _owner(self, s: Span) -> Item:
        return self.slots.get(s.key["slot"], (_NOBODY, 0))[0]

    def _prune(self, s: Span) -> None:
        self.op = s

    def _pruned(self, s: Span) -> list[Event]:
        op, self.op = self.op, None
        return [Event("cascade", op.last, s.last, "finish" if op.key["finish"] else "prepare")] if op else []

    def _state(self, s: Span) -> list[Event]:
        return [Event("write", s.first, s.last, "state", rows=s.rows, blocked=s.blocked)]

    def _meta(self, s: Span) -> None:
        k = s.key
        self.slots[k["slot"]] = (k["head"], k["kv_head"], k["query"]), s.last

    def _q_cmd(self, s: Span) -> list[Event]:
        return [_event("fetch Q", s, (s.key["head"], None, s.key["token"]))]

    def _k_walk(self, s: Span) -> list[Event]:
        for n in range(s.key["members"].bit_length()):
            if s.key["members"] >> n & 1:
                self.commands[(s.key["slot"] + n) % self.config.slots] = s
        return [_event("fetch K", s, (None, s.key["kv_head"], None), "K LSB" if s.key["lsb"] else "K")]

    def _fill(self, s: Span) -> list[Event]:
        name = "V" if s.key["value"] else "K"
        what = f"{name} LSB fill" if s.key["lsb"] else f"{name} fill"
        return [_event(f"fetch {name}", s, (None, s.key["kv_head"], None), what, keys=s.key["rows"])]

    def _score_cmd(self, s: Span) -> None:
        self.commands[s.key["slot"]] = s

    def _scored(self, s: Span) -> list[Event]:
        """Q×K of what is in the slot of `s` has ended with `s`, or before."""
        command = self.commands.pop(s.key["slot"], None)
        if command is None:
            return []
        item = self._owner(s)
        self.begun.setdefault(item, command.last)
        again = command.key.get("lsb", item in self.flats)
        return [Event("Q×K", command.last, s.last, "LSB" if again else "", *item)]

    def _flat(self, s: Span) -> list[Event]:
        if not s.key["flat"]:
            return []
        found = [*self._scored(s), _event("decision", s, self._owner(s), "flat")]
        self.flats.add(self._owner(s))
        return found

    def _free(self, s: Span) -> list[Event]:
        found = self._scored(s)
        if s.key["slot"] in self.slots:
            item, since = self.slots.pop(s.key["slot"])
            found.append(Event(f"{SLOT} {s.key['slot']}", since, s.last, "", *item))
        return found

    def _probs(self, s: Span) -> list[Event]:
        item = _item(s)
        self.flats.discard(item)
        begun = self.begun.pop(item, None)
        event = _event("softmax", s, item)
        if begun is not None:
            event.extra["latency"] = s.first - begun
        return [event]

    def _kept(self, s: Span) -> list[Event]:
        self.kept[_item(s)] = s
        return [_event("top-k", s, _item(s))]

    def _sums(self, s: Span) -> list[Event]:
        """Sums alone leave P×V: it is said to work on them from the first row it could use on, one after another."""
        item = _item(s)
        self.sums.append(item)
        kept = self.kept.pop(item, s)
        first = min(s.last, max(self.sum_end + 1, kept.first))
        self.sum_end = s.last
        return [Event("P×V", first, s.last, "", *item, s.rows, s.blocked)]

    def _beats(self, s: Span) -> list[Event]:
        return [_event("write", s, self.sums.popleft() if self.sums else _NOBODY)]


def _item(s: Span) -> Item:
    return s.key["head"], s.key["kv_head"], s.key["query"]


def _event(unit: str, s: Span, item: Item, what: str = "", **extra: int) -> Event:
    return Event(unit, s.first, s.last, what, *item, s.rows, s.blocked, extra)
