"""A layer of generation on the sliced machine, cycle by cycle: what is common to all slices, round the channels."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

import numpy as np

from .channel import KEY, QUERY, VALUE, Channel, Row
from .layer import Gang, Layer, gangs
from .machine import Machine
from .run import Ring, Run
from .vectors import VectorPath

#: Cycles without progress after which a run is given up.
PATIENCE = 100_000


class Generation:
    """Walker, key walk, vectors, gather, output tree; `run` gives the cycles."""

    def __init__(self, layer: Layer, machine: Machine, seed: int = 0):
        self.layer, self.machine, self.lat = layer, machine, machine.latencies
        self.now = 0
        self.work = gangs(layer, machine, np.random.default_rng(seed))
        self.channels = [Channel(i, machine, layer, self.row_done) for i in range(machine.channels)]
        self.slots, self.items, self.sums = Ring(machine.slots), Ring(machine.items), Ring(machine.sums)
        self.vectors = VectorPath(layer, machine)
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.event_number = 0
        self.issued = 0
        self.walker_free = self.lat.start
        self.walks: deque[tuple[Gang, bool]] = deque()
        self.walk_row, self.walk_free = 0, 0
        self.gathers: deque[Gang] = deque()
        self.gather_row, self.gather_free = 0, 0
        self.drains: deque[Gang] = deque()
        self.tree_free, self.end, self.finished = 0, 0, 0
        self.beats = {name: machine.beats(layer.dim, bits) for name, bits in (
            ("key", layer.bits), ("query", layer.query_bits), ("lsb", layer.lsb_bits))}
        self.chunks = machine.chunks(layer.dim)

    def run(self) -> Run:
        last = 0
        while self.finished < len(self.work):
            now = self.now
            while self.events and self.events[0][0] <= now:
                heapq.heappop(self.events)[2]()
                last = now
            for step in (self.tail, self.issue, self.walk, self.gather):
                step()
            for channel in self.channels:
                channel.step(now)
            self.now += 1
            if now - last > PATIENCE:
                raise RuntimeError(f"nothing moves since cycle {last}")
        return Run(self.end + self.lat.finish, {name: count / self.machine.slices for name, count in (
            ("bytes", sum(c.beats for c in self.channels) * self.machine.slices / len(self.channels)),
            ("steps", sum(c.steps for c in self.channels) * self.machine.slices / len(self.channels)),
            ("Q×K", sum(sum(g.keys) * g.members + g.replayed_keys * g.flat for g in self.work) * self.chunks),
            ("Prob×V", sum(c.worked for c in self.channels)))})

    def at(self, time: int, what: Callable[[], None]) -> None:
        """Do something at a time."""
        self.event_number += 1
        heapq.heappush(self.events, (time, self.event_number, what))

    def put(self, kind: int, place: int, gang: Gang, beats: int, members: int) -> None:
        """A request into the queue of a slice (of a channel, for Q)."""
        channel = self.channels[place % self.machine.channels]
        local = 0 if kind == QUERY else place // self.machine.channels
        channel.queues[kind][local].append(
            Row(self.now, kind, local, gang, beats, self.chunks, self.chunks * members))

    def waiting(self, kind: int, place: int) -> int:
        """Requests in the queue of a slice."""
        c = self.machine.channels
        return len(self.channels[place % c].queues[kind][place // c])

    def tail(self) -> None:
        """Whether every head that is still to be decided has a slot: from then on K goes first."""
        if self.machine.first == "tail" and self.layer.heads - self.slots.back <= self.machine.slots:
            for channel in self.channels:
                channel.first = "key"

    def issue(self) -> None:
        """The walker: slots and items for a gang, its Q rows, its key walk."""
        g = self.layer.group
        if (self.issued == len(self.work) or self.now < self.walker_free or len(self.walks) > 2
                or not self.slots.room(g) or not self.items.room(g)):
            return
        gang = self.work[self.issued]
        self.issued += 1
        self.slots.taken += g
        self.items.taken += g
        for channel in gang.query_channels:
            self.put(QUERY, channel, gang, self.beats["query"], 0)
        gang.scored = sum(gang.keys)
        self.walks.append((gang, False))
        self.walker_free = self.now + self.lat.walker + (g if self.lat.walker else 0)

    def walk(self) -> None:
        """The key walk: one row of the lists per cycle into the request queues, if all have room. LSBs by key are a
        list like the kept values: a row of it in which nothing is near costs a cycle or, with `skip`, none."""
        if not self.walks or self.now < self.walk_free:
            return
        gang, replay = self.walks[0]
        while replay and self.lat.skip and self.walk_row < gang.rows - 1 and not gang.listed[self.walk_row]:
            self.walk_row += 1
        live = gang.listed[self.walk_row] if replay else [s for s, keys in enumerate(gang.keys) if self.walk_row < keys]
        if any(self.waiting(KEY, s) >= self.machine.key_queue for s in live):
            return
        for s in live:
            self.put(KEY, s, gang, self.beats["lsb" if replay else "key"], gang.flat if replay else gang.members)
        self.walk_row += 1
        if self.walk_row == gang.rows:
            self.walks.popleft()
            self.walk_row, self.walk_free = 0, self.now + 1 + self.lat.walker

    def row_done(self, row: Row, time: int) -> None:
        """A row has been multiplied (Q: has come)."""
        gang = row.gang
        if row.kind == QUERY:
            gang.queries_due -= 1
            gang.query_time = max(gang.query_time, time + self.lat.query)
        elif row.kind == KEY:
            gang.scored -= 1
            gang.score_time = max(gang.score_time, time)
            if not gang.scored:
                self.at(gang.score_time + self.lat.score, lambda: self.ready(gang))
        else:
            gang.due -= 1
            gang.value_time = max(gang.value_time, time)
            self.drain()

    def ready(self, gang: Gang) -> None:
        """All scores are there: each member goes its way through softmax and local top-k."""
        first = gang.number * self.layer.group
        decided = 0
        for m in range(gang.flat if gang.replayed else gang.members):
            vector = self.vectors.send(gang.rows, self.now)
            if m < gang.flat and not gang.replayed:
                decided = vector.read + self.lat.decision
                continue
            self.at(vector.read, lambda m=m: self.slots.free(first + m))  # type: ignore[misc]
            self.at(self.vectors.prune(gang.rows, vector.first), lambda: self.member_passed(gang))
        if decided:
            self.at(decided, lambda: self.replay(gang))

    def replay(self, gang: Gang) -> None:
        """K's LSBs for the flat members."""
        gang.replayed, gang.scored = True, gang.replayed_keys
        # Behind the walk that is going on.
        self.walks.insert(min(1, len(self.walks)), (gang, True))

    def member_passed(self, gang: Gang) -> None:
        gang.passed += 1
        if gang.passed == gang.members:
            self.at(self.now + self.lat.gather, lambda: self.gathers.append(gang))

    def gather(self) -> None:
        """The walk of a gang's kept rows: one a cycle into the slices' queues, if all have room."""
        if not self.gathers or self.now < self.gather_free:
            return
        gang = self.gathers[0]
        if not self.gather_row and gang not in self.drains:
            if not self.sums.room(gang.members):
                return
            self.sums.taken += gang.members
            self.drains.append(gang)
        while self.lat.skip and self.gather_row < len(gang.values) - 1 and not gang.values[self.gather_row]:
            self.gather_row += 1
        row = gang.values[self.gather_row]
        if any(self.waiting(VALUE, s) >= self.machine.value_queue for s, *_ in row):
            return
        for s, members, flat in row:
            self.put(VALUE, s, gang, self.beats["key"], members)
            gang.due += 1
            if flat and not self.layer.static_values:
                self.put(VALUE, s, gang, self.beats["lsb"], flat)
                gang.due += 1
        self.gather_row += 1
        if self.gather_row == len(gang.values):
            gang.walked = True
            self.gathers.popleft()
            self.gather_row, self.gather_free = 0, self.now + 1 + self.lat.gather_gap
            self.drain()

    def drain(self) -> None:
        """The output tree, in the order of the gather: a gang whose slices are all done."""
        while self.drains and self.drains[0].walked and not self.drains[0].due:
            gang = self.drains.popleft()
            start = max(gang.value_time + self.lat.value, self.tree_free)
            self.tree_free = start + gang.members * self.machine.drain_cycles(self.layer.dim)
            freed = start + gang.members * self.chunks
            self.at(freed, lambda gang=gang: self.give_back(gang))  # type: ignore[misc]
            self.end = max(self.end, self.tree_free + (self.machine.levels if self.lat.drain else 0) + self.lat.drain)

    def give_back(self, gang: Gang) -> None:
        """Items and sums of a drained gang."""
        for item in range(gang.number * self.layer.group, (gang.number + 1) * self.layer.group):
            self.items.free(item)
        self.sums.back += gang.members
        self.finished += 1
