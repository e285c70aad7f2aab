"""The driver: memory, layer jobs and completions, over any `Transport`.

It refuses to talk to hardware of another configuration, and refuses illegal jobs before anything of them is
written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from ..config import SpAttenConfig
from ..errors import UserError
from ..interface.errors import ErrorCode
from .device import Device, DeviceError
from .job import LayerJob, check, encode
from .layout import Write
from .outcome import Completion, LayerOutcome
from .plan import LayerPass, Passes
from .rows import unpack_outputs
from .transport import Transport
from .words import WORD_BYTES, place_of_words, survivor_words

#: What output planes hold before a job: rows that still hold it were not written.
FILL = 0xA5
#: Both events.
JOB_DONE, JOB_ERROR = 1, 2


class JobError(UserError):
    """A job ended with an error. `code` is an `ErrorCode` (or a number unknown to this driver); `activity`: what the
    accelerator was doing, where that matters."""

    def __init__(self, tag: int, code: int, name: str = "", activity: str = ""):
        self.tag, self.code, self.activity = tag, code, activity
        text = ErrorCode(code).text if code in ErrorCode._value2member_map_ else "unknown error"
        super().__init__(f"{name or f'job {tag}'}: the accelerator reports: {text} (error {code})"
                         + (f"; {activity}" if activity else ""))


class JobTimeout(UserError):
    """No job finished in the cycles that the host was ready to wait."""


class Driver(Device):
    """One accelerator behind a transport. Raises `DeviceError` if it was built from another configuration.

    `job_limit`: cycles after which the accelerator itself ends a job with TIMEOUT (register JOB_LIMIT; 0: any number),
    None: keeps the register as it is. After that error the accelerator must be reset, and needs a new driver.
    """

    def __init__(self, config: SpAttenConfig, transport: Transport, *, job_limit: int | None = None):
        super().__init__(config, transport)
        self._completions: deque[Completion] = deque()
        self._outstanding = 0
        self._write("IRQ_ENABLE", JOB_DONE)
        if job_limit is not None:
            self._limit_jobs(job_limit)

    # -- memory ---------------------------------------------------------------------------------------

    def write(self, writes: Iterable[Write]) -> None:
        """Writes bytes at local addresses of channels."""
        for channel, address, data in writes:
            self.transport.mem_write(channel, address, data.tobytes())

    def fetch(self, channel: int, address: int, nbytes: int) -> np.ndarray:
        """Bytes (uint8) at a local address of a channel."""
        return np.frombuffer(self.transport.mem_read(channel, address, nbytes), dtype=np.uint8)

    def write_words(self, addr: int, words: bytes | np.ndarray) -> None:
        """Writes 64-bit words (or their bytes) at an address of words."""
        data = words if isinstance(words, bytes) else words.astype("<u8").tobytes()
        self.transport.mem_write(*place_of_words(addr, self.config), data)

    def read_words(self, addr: int, words: int) -> np.ndarray:
        """64-bit words (uint64) at an address of words."""
        raw = self.fetch(*place_of_words(addr, self.config), WORD_BYTES * words)
        return raw.view("<u8").astype(np.uint64)

    # -- jobs -----------------------------------------------------------------------------------------

    def submit(self, job: LayerJob, tag: int, at: int) -> None:
        """Checks `job`, writes its descriptor at `at` (an address of words) and queues it; waits while the queue
        is full. `at` must stay untouched until the job has finished. Raises `JobRefused` with nothing written."""
        check(job, self.config, at)
        self.write_words(at, encode(job))
        self._write("JOB_ADDR_LO", at & 0xFFFFFFFF)
        self._write("JOB_ADDR_HI", at >> 32)
        self._write("JOB_PUSH", tag & 0xFFFF)
        while self._field("STATUS", "PUSH_REFUSED", self._read("STATUS")):
            if not self._outstanding:
                raise DeviceError("the accelerator refuses a job although none is queued: reset it")
            self._collect(default_limit(job))
            self._write("JOB_PUSH", tag & 0xFFFF)
        self._outstanding += 1

    def wait(self, limit: int) -> Completion:
        """The next completion, in order. Raises `JobTimeout` after `limit` cycles without one."""
        if not self._completions:
            self._collect(limit)
        return self._completions.popleft()

    def _collect(self, limit: int) -> None:
        """Takes every completion there is; waits up to `limit` cycles for the first."""
        if not self._outstanding:
            raise DeviceError("no job is queued: there is nothing to wait for")
        start = self.transport.cycles
        while not self._drain():
            left = limit - (self.transport.cycles - start)
            if left > 0 and self.transport.wait_irq(left):
                continue
            # A completion may have come while the registers were read: look once more before giving up.
            if self._drain():
                return
            raise JobTimeout(f"no job has finished in {limit} cycles ({self.activity()}): raise the cycle limit, or "
                             "reset the accelerator if it hangs")

    def _drain(self) -> bool:
        """Moves completions from the hardware to the list; returns whether there was one."""
        # Cleared before reading, so that a completion that comes in between raises it again.
        self._write("IRQ_STATUS", JOB_DONE | JOB_ERROR)
        found = False
        while self._field("COMPLETION", "VALID", word := self._read("COMPLETION")):
            self._completions.append(Completion(self._field("COMPLETION", "TAG", word),
                                                self._field("COMPLETION", "ERROR", word)))
            self._outstanding -= 1
            found = True
        return found

    # -- whole workloads --------------------------------------------------------------------------------

    def run_layers(self, plan: Passes, cycle_limit: int | None = None) -> Iterator[LayerOutcome]:
        """Runs all passes of a plan back to back and yields what each leaves, in order.

        Jobs are queued as soon as their data are in memory. Counters are cleared first; the `cycles` of the
        outcomes add up to the counter. `cycle_limit` bounds the time between two completions.
        """
        self.clear_counters()
        waiting: deque[LayerPass] = deque()
        before, stored = 0, None

        def finish() -> LayerOutcome:
            nonlocal before, stored
            p = waiting.popleft()
            try:
                done = self.wait(cycle_limit or default_limit(p.job))
            except UserError as error:
                error.add_note(f"it was {p.name}")
                raise
            if done.error:
                late = done.error == ErrorCode.TIMEOUT
                raise JobError(done.tag, done.error, p.name, self.activity() if late else "")
            now = self._cycles()
            outcome = self._outcome(p, now - before)
            before, stored = now, outcome.scores
            return outcome

        for tag, p in enumerate(plan.passes):
            if p.step == 0:
                self.write(plan.layer_data(p.layer))
            if p.scores is not None or p.new_token is not None:
                # The scores to load depend on those that earlier jobs store.
                while waiting:
                    yield finish()
                words = plan.scores_to_load(p, stored)
                assert words is not None
                self.write_words(p.job.scores_in, words)
            if p.ids is not None:
                self.write_words(p.job.ids_in, p.ids)
            self.write(p.out.fill(p.job.query_heads, FILL))
            self.submit(p.job, tag, p.descriptor)
            waiting.append(p)
            while len(waiting) > self.config.job_queue:
                yield finish()
        while waiting:
            yield finish()

    def _outcome(self, p: LayerPass, cycles: int) -> LayerOutcome:
        job = p.job
        rows = p.out.rows(self.fetch, job.query_heads, job.query_rows)
        ids = self.read_words(job.ids_out, survivor_words(job.tokens, job.heads)) if job.store_ids else None
        scores = self.read_words(job.scores_out, job.tokens + job.heads) if job.store_scores else None
        return LayerOutcome(
            p, unpack_outputs(rows, job.dim), np.any(rows != FILL, axis=-1), ids, scores, cycles)


def default_limit(job: LayerJob) -> int:
    """Cycles that no working accelerator needs for `job`, whatever its size and memory."""
    items = job.query_heads * job.query_rows
    return 100_000 + items * (32 * job.tokens + 2000)
