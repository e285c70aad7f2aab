"""Does the tasks of a sweep: those without a result, in batches, until each has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from .point import Point
from .results import Results
from .task import FAILED, Task
from .workers import Workers

#: Tasks that are handed out together: a millisecond each, or minutes.
BATCH = {"model": 20, "rtl": 1, "area": 1}
#: How often a task is tried whose process ends.
TRIES = 3


@dataclass
class Progress:
    """How far a run is: tasks in all, done before it and in it, failed; what is being done. `open`: kind → tasks left;
    `spent`: kind → (tasks done in this run, seconds of a worker for them)."""

    total: int
    workers: int
    kept: int = 0
    done: int = 0
    failed: int = 0
    running: str = ""
    open: dict[str, int] = field(default_factory=dict)
    spent: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, kind: str, result: dict) -> None:
        """A task of a kind has a result."""
        self.done += 1
        self.failed += result["status"] == FAILED
        self.open[kind] -= 1
        count, seconds = self.spent.get(kind, (0, 0.0))
        self.spent[kind] = count + 1, seconds + result["seconds"]

    @property
    def seconds_left(self) -> float | None:
        """By what each kind has taken so far; None: one has not been seen yet."""
        left = {kind: count for kind, count in self.open.items() if count}
        if not left or not left.keys() <= self.spent.keys():
            return None
        return sum(count * self.spent[kind][1] / self.spent[kind][0] for kind, count in left.items()) / self.workers

    @property
    def text(self) -> str:
        """In a line."""
        at = self.kept + self.done
        bar = "█" * (20 * at // max(1, self.total))
        failed = f", {self.failed} failed" if self.failed else ""
        seconds, left = self.seconds_left, ""
        if seconds is not None:
            left = f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"
        doing = f"; {self.running}" if self.running else ""
        return f"{bar:░<20} {at}/{self.total} measurements{failed}{left}{doing}"


def tasks_of(points: Iterable[Point]) -> dict[str, Task]:
    """Every task once, by key. Those of one configuration that is to be built follow each other, but the first of every
    configuration come first: workers then build different ones at a time, and the rest find them built."""
    unique = {task.key: task for point in points for task in point.tasks.values()}
    met: dict[tuple[str, int], int] = {}
    order = {}
    for key, task in unique.items():
        place = task.kind, task.config.hash
        met[place] = met.get(place, 0) + 1
        order[key] = (task.kind != "model", met[place] > 1)
    return dict(sorted(unique.items(), key=lambda item: order[item[0]]))


def run(tasks: dict[str, Task], results: Results, workers: Workers, tell: Callable[[Progress], None]) -> None:
    """Fills `results`. Raises `UserError` if a result cannot be kept, or the workers are lost."""
    _Run(tasks, results, workers).all(tell)


class _Run:
    """The tasks without a result, by key: which wait in which future, which are to be handed out again."""

    def __init__(self, tasks: dict[str, Task], results: Results, workers: Workers):
        self.left = {key: task for key, task in tasks.items() if not results.settled(key)}
        self.results, self.workers = results, workers
        kinds = [task.kind for task in self.left.values()]
        self.progress = Progress(len(tasks), workers.count, len(tasks) - len(self.left),
                                 open={kind: kinds.count(kind) for kind in kinds})
        self.batches = _batches(self.left)
        self.again: list[list[str]] = []
        self.waiting: dict[Future, list[str]] = {}
        #: Those that had begun when they were last looked at: what a process that has died may have died of.
        self.begun: set[Future] = set()
        self.deaths = dict.fromkeys(self.left, 0)

    def all(self, tell: Callable[[Progress], None]) -> None:
        """Hands out and takes in until nothing is left."""
        tell(self.progress)
        while True:
            self.hand_out()
            if not self.waiting and not self.again:
                return
            ended, _ = wait(self.waiting, timeout=1, return_when=FIRST_COMPLETED)
            alive = [self.take_in(future) for future in ended]
            if not all(alive):
                self.bury()
            elif self.again and not self.waiting:  # not even handed out
                self.workers.restart()
            if not ended:
                self.workers.check()
            self.begun = {future for future in self.waiting if future.running()}
            self.progress.running = self.left[self.waiting[next(iter(self.begun))][0]].label if self.begun else ""
            tell(self.progress)

    def hand_out(self) -> None:
        """Enough for all workers, and a little more, so that none waits."""
        while len(self.waiting) < 3 * self.workers.count + 2:
            keys = self.again.pop() if self.again else next(self.batches, None)
            if keys is None:
                return
            try:
                self.waiting[self.workers.submit([self.left[key] for key in keys], keys)] = keys
            except BrokenProcessPool:  # a process has just died: what waits says so
                self.again.append(keys)
                return

    def take_in(self, future: Future) -> bool:
        """Keeps what has ended; False: its process has died."""
        keys = self.waiting[future]
        try:
            found = future.result()
        except BrokenProcessPool:
            return False
        except CancelledError:
            self.workers.check()
            self.again.append(self.waiting.pop(future))
            return True
        except Exception as error:
            self.workers.check()
            text = " ".join(str(error).split())[:300] or type(error).__name__
            found = [_failure(f"the worker: {text}")] * len(keys)
        del self.waiting[future]
        self.keep(keys, found)
        return True

    def bury(self) -> None:
        """All that waited was lost with a process. What may be the reason is tried `TRIES` times."""
        # A process may die before anybody looks; work is begun in the order in which it was handed out.
        suspects = self.begun & self.waiting.keys() or set(list(self.waiting)[:self.workers.count])
        for future, keys in self.waiting.items():
            for key in keys:
                self.deaths[key] += future in suspects
            lost = [key for key in keys if self.deaths[key] >= TRIES]
            self.keep(lost, [_failure(f"its process ended {TRIES} times while it was measured (out of memory?)")
                             ] * len(lost))
            # One by one, so that the others of a batch do not suffer with what ends the process.
            self.again += [[key] for key in keys if key not in lost]
        self.waiting.clear()
        self.workers.restart()

    def keep(self, keys: Sequence[str], found: Sequence[dict]) -> None:
        """Puts results on disk."""
        for key, result in zip(keys, found, strict=True):
            self.results.put(key, result)
            self.progress.add(self.left[key].kind, result)


def _batches(tasks: dict[str, Task]) -> Iterator[list[str]]:
    """Keys in order, those that follow each other and are quick together."""
    batch: list[str] = []
    for key, task in tasks.items():
        if batch and (len(batch) >= BATCH[task.kind] or tasks[batch[0]].kind != task.kind):
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


def _failure(reason: str) -> dict:
    return {"status": FAILED, "reason": reason, "metrics": {}, "seconds": 0}
