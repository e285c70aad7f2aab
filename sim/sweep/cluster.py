"""Tasks on a Dask cluster (`--scheduler tcp://HOST:PORT`): its client behind `concurrent.futures`."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from spatten_hw.errors import UserError

from .task import Task, run_tasks

#: Seconds for a scheduler to answer, and for workers to appear.
PATIENCE = 10


class DaskWorkers:
    """The workers of the cluster at `address`; some may come and go. A context manager: afterwards nothing of ours
    waits there any more; what a worker is at it ends, since Dask does not interrupt it."""

    def __init__(self, address: str):
        self.address = address
        self._client: Any = None
        self._executor: Any = None

    @property
    def count(self) -> int:
        """Tasks at a time: threads of all workers, at least one."""
        try:
            return max(1, sum(w["nthreads"] for w in self._client.scheduler_info(n_workers=-1)["workers"].values()))
        except (KeyError, ValueError, OSError):
            return 1

    def submit(self, tasks: Sequence[Task], keys: Sequence[str]) -> Future:
        """As `Workers.submit`."""
        self.check()
        try:
            return self._executor.submit(run_tasks, tasks, keys)
        except (OSError, RuntimeError) as error:
            raise self._lost() from error

    def restart(self) -> None:
        """A cluster restarts its workers itself."""

    def check(self) -> None:
        """Raises `UserError` if the scheduler has gone."""
        if self._client.status != "running":
            raise self._lost()

    def _lost(self) -> UserError:
        return UserError(f"--scheduler {self.address}: the connection is lost; what was found is kept: start a "
                         "scheduler and give the same command again, or leave --scheduler out")

    def __enter__(self) -> DaskWorkers:
        from distributed import Client

        # What it has to say of lost connections is said in one line by those who wait. Its loggers have levels of
        # their own, each.
        for name in [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in ("distributed", "tornado")]:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            self._client = Client(self.address, timeout=PATIENCE, set_as_default=False, name="spatten-hw sweep")
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"--scheduler {self.address}: no Dask scheduler answers there "
                            f"({_line(error)}); give tcp://HOST:PORT of one, or leave it out") from None
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, TimeoutError):
            self.__exit__()
            raise UserError(f"--scheduler {self.address}: has no workers; start some with: dask worker {self.address} "
                            "--nthreads 1") from None
        self._executor = self._client.get_executor(pure=False)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)


def check_address(address: str) -> None:
    """Refuses what is no address; Dask would say so with a traceback, in a thread of its own. Raises `UserError`."""
    if not re.fullmatch(r"(\w+://)?\S+:\d+", address):
        raise UserError(f"--scheduler {address}: is no address; give tcp://HOST:PORT of a Dask scheduler")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
