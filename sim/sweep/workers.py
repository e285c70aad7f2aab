"""Who does the tasks: processes of this machine, or a Dask cluster, both behind `concurrent.futures`."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Protocol

from spatten_hw.sim.evaluate.runner import one_thread_each

from .task import Task, run_tasks


class Workers(Protocol):
    """`count`: tasks at a time, as far as is known. Futures of `submit` give `task.run_tasks`. A context manager."""

    def __enter__(self) -> Workers: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def count(self) -> int: ...

    def submit(self, tasks: Sequence[Task], keys: Sequence[str]) -> Future: ...

    def restart(self) -> None:
        """Begins anew after a process has died."""

    def check(self) -> None:
        """Raises `UserError` if nothing more will come."""


class LocalWorkers:
    """`count` processes, each with one thread, and the tools it runs. A context manager: afterwards all of them are
    gone, whatever they were doing, also when this process is killed."""

    def __init__(self, count: int):
        self.count = count
        self._context = multiprocessing.get_context("spawn")
        self._pool: Executor | None = None
        self._mine: Connection | None = None

    def submit(self, tasks: Sequence[Task], keys: Sequence[str]) -> Future:
        """As `Workers.submit`."""
        assert self._pool is not None
        with one_thread_each():
            return self._pool.submit(run_tasks, tasks, keys)

    def restart(self) -> None:
        """Ends what is left of the processes, for new ones."""
        self._end()
        # Its other end is held by this process alone: when that is closed, for whatever reason, the workers end.
        theirs, self._mine = self._context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self.count, self._context, _begin, (theirs,))

    def check(self) -> None:
        """There is always a process to be had."""

    def _end(self) -> None:
        if self._mine is not None:
            self._mine.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> LocalWorkers:
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        with _not_interrupted():
            self._end()


def _begin(owner: Connection) -> None:
    """A worker: a process group with its tools, which ends as one when the owner's end of the pipe is closed."""
    os.setpgid(0, 0)
    # The pool ends the others when one has died. By itself that signal would leave their tools behind.
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    threading.Thread(target=_end_with_owner, args=(owner,), daemon=True).start()


def _end_with_owner(owner: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        owner.recv_bytes()
    os.killpg(0, signal.SIGKILL)


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """A second Ctrl-C while workers end, which takes no time, would leave some behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
