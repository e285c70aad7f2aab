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
    left = {key: task for key, task in tasks.items() if not results.settled(key)}
    kinds = [task.kind for task in left.values()]
    progress = Progress(len(tasks), workers.count, len(tasks) - len(left), open={k: kinds.count(k) for k in kinds})
    tell(progress)
    batches = _batches(left)
    tries = dict.fromkeys(left, 0)
    waiting: dict[Future, list[str]] = {}
    again: list[list[str]] = []

    def keep(keys: Sequence[str], found: Sequence[dict]) -> None:
        for key, result in zip(keys, found, strict=True):
            results.put(key, result)
            progress.add(left[key].kind, result)

    active: set[Future] = set()
    while True:
        while len(waiting) < 3 * workers.count + 2:
            keys = again.pop() if again else next(batches, None)
            if keys is None:
                break
            try:
                waiting[workers.submit([left[key] for key in keys], keys)] = keys
            except BrokenProcessPool:  # one has just died: what waits says so next
                again.append(keys)
                break
        if not waiting and not again:
            break
        if not waiting:
            workers.restart()
            continue
        ended, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
        died = False
        for future in ended:
            keys = waiting[future]
            try:
                found = future.result()
            except BrokenProcessPool:
                died = True
                continue
            except CancelledError:
                workers.check()
                again.append(waiting.pop(future))
                continue
            except Exception as error:
                workers.check()
                text = " ".join(str(error).split())[:300] or type(error).__name__
                found = [_failure(f"the worker: {text}")] * len(keys)
            del waiting[future]
            keep(keys, found)
        if died:
            # All of them were lost; those that had begun may be what the process died of.
            for future, keys in waiting.items():
                for key in keys:
                    tries[key] += future in active
                lost = [key for key in keys if tries[key] >= TRIES]
                keep(lost, [_failure(f"its process ended {TRIES} times while it was measured (out of memory?)")
                            ] * len(lost))
                # One by one, so that the others of a batch do not suffer with what ends the process.
                again += [[key] for key in keys if key not in lost]
            waiting.clear()
            workers.restart()
        if not ended:
            workers.check()
        active = {future for future in waiting if future.running()}
        progress.running = left[waiting[next(iter(active))][0]].label if active else ""
        tell(progress)


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
