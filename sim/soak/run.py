"""Seed after seed: each in a process of its own, so that nothing of one reaches the next, and a limit holds."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path

from spatten_hw.config import ConfigError
from spatten_hw.errors import UserError

from .build import built, clear
from .draw import Drawing, draw
from .refusal import complaints
from .reproducer import save_case, save_config
from .sequences import Sequences
from .session import Golden, Work, run_case, work
from .tally import Entry, Tally, generator_digest

#: Elapsed seconds after which a configuration is left as unfinished.
LIMIT = 3600
#: Tells what a process does: (seed, text).
Say = Callable[[int, str], None]


def run_seed(drawing: Drawing, out: Path, digest: str, say: Callable[[str], None], keep: bool = False,
             golden: Golden = Sequences.golden) -> Entry:
    """Everything for one seed, with sources of this digest. What is wrong is in the entry's `wrong`, and in
    out/failures/SEED."""
    start = time.monotonic()
    shutil.rmtree(out / "failures" / str(drawing.seed), ignore_errors=True)
    entry: Entry = {"seed": drawing.seed, "digest": digest, "fields": drawing.fields, "wrong": []}
    try:
        config = drawing.config()
    except ConfigError as error:
        entry |= {"violations": error.violations, "wrong": complaints(drawing.fields, error.violations, drawing.seed)}
        entry["outcome"] = "failed" if entry["wrong"] else "refused"
        if entry["wrong"]:
            save_config(out / "failures", drawing.seed, drawing.fields, "\n".join(entry["wrong"]))
        return entry
    try:
        with built(config, out / ("kept" if keep else "build"), keep, say) as b:
            entry |= {"verilog_bytes": b.verilog_bytes, "verilog_seconds": round(b.verilog_seconds, 1),
                      "library_seconds": round(b.library_seconds, 1)}
            done = work(config, drawing.seed, b.simulate, golden, lambda w: say(_progress(w)))
            entry |= {"queries": done.queries, "cycles": done.cycles, "jobs": done.jobs, "cases": done.cases,
                      "features": {n: c for n, c in sorted(done.features.items()) if c}}
            for case, wrong in done.failures:
                folder = save_config(out / "failures", drawing.seed, drawing.fields, "\n".join(wrong))
                with b.simulate(config) as port:
                    alone = run_case(case, config, port, Work())
                save_case(folder, config, case, wrong, alone)
                entry["wrong"] += [f"case {case.name}: {text}" for text in wrong]
    except Exception as error:
        # A generator or a simulation that fails is a finding like any other.
        entry["wrong"].append(f"{type(error).__name__}: {error}")
        save_config(out / "failures", drawing.seed, drawing.fields, traceback.format_exc())
    entry |= {"outcome": "failed" if entry["wrong"] else "passed", "seconds": round(time.monotonic() - start, 1)}
    return entry


def _progress(done: Work) -> str:
    return f"{done.cases} cases, {done.queries} queries, {done.cycles} cycles" + (
        f", {len(done.failures)} FAILED" if done.failures else "")


def soak(out: Path, seconds: float, first: int, jobs: int, say: Say) -> list[Entry]:
    """Runs pending seeds for so many seconds, `jobs` at a time; the last ones begun are finished. Returns what came of
    each, which is in the tally, too."""
    entries = []
    with exclusive(out):
        tally, digest = Tally(out / "tally.json"), generator_digest()
        clear(out / "build")
        seeds = iter(tally.pending(first, digest))
        end = time.monotonic() + seconds
        running: dict[int, tuple[BaseProcess, float]] = {}
        try:
            while running or time.monotonic() < end:
                while len(running) < jobs and time.monotonic() < end:
                    for seed in islice(seeds, 1):
                        running[seed] = _start(seed, out, digest, say), time.monotonic()
                time.sleep(0.1)
                for seed, (process, since) in list(running.items()):
                    if process.is_alive() and time.monotonic() - since < LIMIT:
                        continue
                    del running[seed]
                    entry = _end(seed, process, out, digest)
                    tally.add(entry)
                    entries.append(entry)
                    say(seed, describe(entry))
        finally:
            for process, _ in running.values():
                _kill(process)
            clear(out / "build")
    return entries


def _start(seed: int, out: Path, digest: str, say: Say) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=_child, args=(seed, out, digest, say))
    process.start()
    return process


def _child(seed: int, out: Path, digest: str, say: Say) -> None:
    # A group of its own, with all the compilers it calls; Ctrl-C reaches the parent alone, which ends it.
    os.setpgrp()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    part = _result(out, seed).with_suffix(".part")
    part.write_text(json.dumps(run_seed(draw(seed), out, digest, lambda text: say(seed, text))))
    part.rename(_result(out, seed))


def _end(seed: int, process: BaseProcess, out: Path, digest: str) -> Entry:
    """What came of a process that has ended, or has had its time."""
    late = process.is_alive()
    _kill(process)
    path = _result(out, seed)
    if path.exists():
        entry: Entry = json.loads(path.read_text())
        path.unlink()
        return entry
    drawing = draw(seed)
    why = f"not done in {LIMIT} s" if late else f"the process ended with code {process.exitcode}"
    if not late:
        save_config(out / "failures", seed, drawing.fields, why)
    return {"seed": seed, "digest": digest, "fields": drawing.fields, "wrong": [why],
            "outcome": "unfinished" if late else "failed"}


def _kill(process: BaseProcess) -> None:
    if process.is_alive() and process.pid is not None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has not made its group yet
            process.kill()
    process.join()


def _result(out: Path, seed: int) -> Path:
    return out / f"seed-{seed}.json"


def describe(entry: Entry) -> str:
    """An entry in a line."""
    if entry["outcome"] == "refused":
        return f"refused: {'; '.join(entry['violations'])}"
    if entry["wrong"]:
        return f"{entry['outcome'].upper()}: {entry['wrong'][0]}"
    return (f"passed: {entry['cases']} cases, {entry['queries']} queries, {entry['cycles']} cycles in "
            f"{entry['seconds']} s ({entry['verilog_seconds']} Verilog, {entry['library_seconds']} library)")


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Raises `UserError` if another soak is running in this folder, or if it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / "lock").open("w")
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}; choose a folder with --out") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{out}: another soak is running here; wait, or choose a folder with --out") from None
        yield
