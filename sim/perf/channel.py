"""One memory channel with the slices behind it: requests, reads in flight, the pool, Q×K and Prob×V."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from .layer import Gang, Layer
from .machine import Machine

QUERY, KEY, VALUE = range(3)
#: Classes in the order in which they are served.
ORDERS = {"key": (QUERY, KEY, VALUE), "value": (QUERY, VALUE, KEY), "tail": (QUERY, VALUE, KEY)}


class Row(NamedTuple):
    """A read of one row, and what it is for."""

    time: int       # when it entered its queue
    kind: int
    slice: int      # of the channel
    gang: Gang
    beats: int
    chunks: int     # cycles out of the pool, if they are more than the beats
    work: int       # cycles of the multipliers


def choose(policy: str, queues: list[deque[Row]]) -> deque[Row] | None:
    """The queue that goes first of those that can."""
    if len(queues) < 2:
        return queues[0] if queues else None
    if policy == "oldest":
        return min(queues, key=lambda q: (q[0].kind != QUERY, q[0].time))
    order = ORDERS[policy]
    return min(queues, key=lambda q: (order.index(q[0].kind), q[0].time))


class Channel:
    """A request goes out, one a cycle, when a read is free and the pool has room. Beats come back in order at one per
    cycle. A row that is complete is read out of the pool, beat by beat, if its slice's feed has room; its slice
    multiplies it. Everything behind the pool happens at times that are known when a row is begun."""

    def __init__(self, number: int, machine: Machine, layer: Layer, done: Callable[[Row, int], None]):
        self.machine, self.done, self.first = machine, done, machine.first
        per_channel = machine.slices // machine.channels
        #: Requests that wait, by class and slice.
        self.queues: list[list[deque[Row]]] = [[deque() for _ in range(per_channel)] for _ in range(3)]
        self.coming: deque[tuple[int, Row]] = deque()
        self.complete: list[list[deque[Row]]] = [[deque() for _ in range(per_channel)] for _ in range(3)]
        self.feeds: list[list[deque[int]]] = [[deque() for _ in range(per_channel)] for _ in range(3)]
        self.feed_rows = max(2, machine.feed_chunks // machine.chunks(layer.dim))
        self.multiplying = [[0] * per_channel for _ in range(3)]
        self.releases: deque[tuple[int, int]] = deque()
        self.reads = self.pool = 0
        self.bus_free = self.pool_free = 0
        # A layer begins half an interval after the first channel's refresh.
        spread = number * machine.refresh_every // machine.channels if machine.refresh_spread else 0
        self.phase = machine.refresh_every // 2 + spread
        #: Beats read, steps out of the pool, and cycles of Prob×V.
        self.beats = self.steps = self.worked = 0

    def step(self, now: int) -> None:
        """One cycle."""
        while self.releases and self.releases[0][0] <= now:
            self.pool -= self.releases.popleft()[1]
            self.reads -= 1
        if self.reads < self.machine.reads:
            self.request(now)
        while self.coming and self.coming[0][0] <= now:
            row = self.coming.popleft()[1]
            self.complete[row.kind][row.slice].append(row)
        if now >= self.pool_free:
            self.begin(now)

    def request(self, now: int) -> None:
        """Ask for the row whose turn it is, if there is room for it."""
        oldest = now - self.machine.latencies.request
        first = self.first
        if first == "level":
            full = max(map(len, self.queues[VALUE])) >= 3 * self.machine.value_queue // 4
            first = "value" if full else "key"
        chosen = choose(first, [queue for queues in self.queues for queue in queues
                                     if queue and queue[0].time <= oldest])
        if chosen is None or self.pool + chosen[0].beats > self.machine.pool_beats:
            return
        row = chosen.popleft()
        self.reads += 1
        self.pool += row.beats
        self.beats += row.beats
        start = max(now + self.machine.memory_latency, self.bus_free)
        if self.machine.refresh_every:
            place = (start + self.phase) % self.machine.refresh_every
            start += max(0, self.machine.refresh_for - place)
        self.bus_free = start + row.beats
        self.coming.append((self.bus_free, row))

    def begin(self, now: int) -> None:
        """Begin to read a complete row out of the pool, if one can go to its slice."""
        chosen = choose(self.machine.out, [queue for queues in self.complete for queue in queues
                                           if queue and self.room(queue[0], now)])
        if chosen is not None:
            self.multiply(chosen.popleft(), now)

    def room(self, row: Row, now: int) -> bool:
        """Whether a slice can take a row out of the pool: its query is there, and its feed has room."""
        if row.kind == KEY and row.gang.queries_due:
            return False
        feed = self.feeds[row.kind][row.slice]
        while feed and feed[0] <= now:
            feed.popleft()
        return len(feed) < self.feed_rows

    def multiply(self, row: Row, now: int) -> None:
        """The way of a row from the pool through the multipliers."""
        steps = max(row.beats, row.chunks)
        self.pool_free = now + steps
        self.steps += steps
        self.releases.append((self.pool_free, row.beats))
        ready = now + self.machine.latencies.convert
        if row.kind == QUERY:
            self.done(row, ready + steps)
            return
        if row.kind == KEY:
            ready = max(ready, row.gang.query_time)
        else:
            self.worked += row.work
        busy = self.multiplying[row.kind]
        end = max(max(ready, busy[row.slice]) + row.work, ready + steps)
        busy[row.slice] = end
        self.feeds[row.kind][row.slice].append(end)
        self.done(row, end)
