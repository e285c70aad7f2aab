"""Tools beside each other: work whose time goes into other processes, done by several threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

from .tools import STOP, Stopped

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(work: Callable[[T], R], items: Iterable[T], jobs: int) -> list[R]:
    """`work` of every item, in the order of `items`, up to `jobs` of them at a time. What fails first, or Ctrl-C, ends
    the tools of all others (`run_tool`), lets none begin, and is raised when they have ended."""
    waiting = list(items)
    if min(jobs, len(waiting)) <= 1:
        return [work(item) for item in waiting]
    stop = Event()

    def one(item: T) -> R:
        STOP.set(stop)
        if stop.is_set():
            raise Stopped
        try:
            return work(item)
        except BaseException:
            stop.set()  # here, before this thread takes another item
            raise

    with ThreadPoolExecutor(min(jobs, len(waiting))) as pool:
        futures = [pool.submit(one, item) for item in waiting]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    failures = [error for future in futures if (error := future.exception()) is not None]
    for error in failures:
        if not isinstance(error, Stopped):
            raise error
    return [future.result() for future in futures]
