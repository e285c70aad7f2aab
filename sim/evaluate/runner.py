"""Measures the points of a grid in worker processes, each with one thread, and keeps what is finished."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Protocol

from spatten_hw.config import SpAttenConfig

from .point import Point
from .store import Store, key_of

#: Libraries under numpy read these when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: Called with (points finished, points in all, the last one finished).
Progress = Callable[[int, int, str], None]


class Bench(Protocol):
    """A model with its text."""

    @property
    def config(self) -> SpAttenConfig: ...

    def measure(self, point: Point, /) -> dict[str, object]: ...


_bench: Bench | None = None


def _start(bench: Bench) -> None:
    global _bench
    _bench = bench
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _measure(point: Point) -> dict[str, object]:
    assert _bench is not None
    return timed(_bench, point)


def timed(bench: Bench, point: Point) -> dict[str, object]:
    """The result of a point with the processor time it took."""
    start = time.process_time()
    result = bench.measure(point)
    return {**result, "cpu_seconds": round(time.process_time() - start, 2)}


def run_points(bench: Bench, points: Sequence[Point], data: str, store: Store, workers: int, progress: Progress
               ) -> list[dict]:
    """Results of `points` in their order; those in `store` are not measured again. `data`: hash of model and text."""
    keys = [key_of(p, bench.config, data) for p in points]
    missing = [i for i, key in enumerate(keys) if key not in store.results]
    done = len(points) - len(missing)
    progress(done, len(points), "")
    for i, result in _results(bench, points, missing, workers):
        store.put(keys[i], result)
        done += 1
        progress(done, len(points), points[i].label)
    return [store.results[key] for key in keys]


def _results(bench: Bench, points: Sequence[Point], missing: list[int], workers: int
             ) -> Iterator[tuple[int, dict[str, object]]]:
    """(index, result) of the missing points as they are finished."""
    if workers == 1 or len(missing) < 2:
        for i in missing:
            yield i, timed(bench, points[i])
        return
    spawn = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(workers, spawn, _start, (bench,)) as pool:
        waiting = {pool.submit(_measure, points[i]): i for i in missing}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        except BaseException:
            # A point takes minutes, for which nobody waits who has ended the command.
            for worker in multiprocessing.active_children():
                worker.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Workers that start now compute in one thread each: two pools of threads on two cores hinder one another."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
