"""Control and status registers on AXI4-Lite."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..interface.registers import ErrorCode, register_map
from ..primitives.widths import narrow
from ..stream.fifo import StreamFifo
from .axil import answer_reads, axil_signature, take_writes
from .counters import PerformanceCounters, events_layout
from .job_reader import push_layout
from .watchdog import LIMIT_BITS, JobWatchdog


def completion_layout() -> data.StructLayout:
    """A finished job: its tag and its `ErrorCode`."""
    return data.StructLayout({"tag": unsigned(16), "error": unsigned(8)})


class ControlRegisters(wiring.Component):
    """The registers of `registers.py` as an AXI4-Lite slave `axil`; address and data of a write in any order.

    `push`: jobs written to JOB_PUSH (a JOB_ADDR beyond the address space becomes a misaligned one, which the
    job reader refuses). `completion`: finished jobs, kept until read (`job_queue` + 2, then back-pressure).
    `events`, `busy`: to the performance counters; `queue_level`: jobs waiting, being read or offered. `irq`: level,
    high while an enabled event is set in IRQ_STATUS. `activity`, `tags`: what ACTIVITY and JOB_TAGS show.

    `working` (a job is being read or runs), `oldest` (tag of the oldest such job): for JOB_LIMIT (`JobWatchdog`). When
    a job takes longer, a completion with `oldest` and TIMEOUT is made, behind those of the jobs before; from then on
    `timed_out` is high and neither completions nor writes to JOB_PUSH are accepted, until a reset.

    Unmapped addresses and writes to read-only registers are answered with SLVERR and do nothing; a write without
    strobes is answered with OKAY and does nothing. The low two address bits are ignored. One read and one write at
    a time, independent of each other: a write takes 2 cycles, a read 2, of a counter up to `READ_CYCLES` more. No
    ready depends combinationally on an input.
    """

    #: The host's AXI4-Lite port.
    axil: wiring.PureInterface
    #: Jobs that the host has pushed: address and tag.
    push: stream.Interface
    #: Jobs that have ended: tag and error.
    completion: stream.Interface
    #: What the counters count, one field each.
    events: data.View
    #: A job runs, for the counter of cycles.
    busy: Signal
    #: Jobs waiting or being read.
    queue_level: Signal
    #: A job is being read or runs.
    working: Signal
    #: Tag of the oldest such job.
    oldest: Signal
    #: What ACTIVITY shows.
    activity: Signal
    #: What JOB_TAGS shows.
    tags: Signal
    #: A job took longer than JOB_LIMIT; high until a reset.
    timed_out: Signal
    #: Level: an enabled event is set in IRQ_STATUS.
    irq: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "axil": In(axil_signature()),
            "push": Out(stream.Signature(push_layout(c))),
            "completion": In(stream.Signature(completion_layout())),
            "events": In(events_layout(c)),
            "busy": In(1),
            "queue_level": In((c.job_queue + 2).bit_length()),
            "working": In(1), "oldest": In(16), "activity": In(32), "tags": In(32), "timed_out": Out(1),
            "irq": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.counters = counters = PerformanceCounters(c)
        m.submodules.completions = completions = StreamFifo(completion_layout(), c.job_queue + 2)
        m.submodules.watchdog = watchdog = JobWatchdog()

        irq_enable = Signal(2)
        irq_status = Signal(2)
        job_addr = Signal(64)
        refused = Signal()
        last_error = Signal(8)
        high = Signal(32)  # of the counter read last
        pushing = self.push.valid
        job_limit = Signal(LIMIT_BITS)
        finished = self._completions(m, watchdog, completions.i)
        m.d.comb += [
            counters.events.eq(self.events), counters.busy.eq(self.busy),
            self.irq.eq((irq_status & irq_enable).any()), watchdog.limit.eq(job_limit),
        ]

        status = Signal(32)
        oldest = Signal(32)
        m.d.comb += [
            status.eq(_fields(c, "STATUS", {
                "BUSY": self.busy | (self.queue_level != 0) | pushing, "RUNNING": self.busy,
                "PUSH_REFUSED": refused, "TIMED_OUT": self.timed_out, "QUEUE_LEVEL": self.queue_level + pushing,
                "COMPLETIONS": completions.level, "ERROR": last_error})),
            oldest.eq(Mux(completions.o.valid, _fields(c, "COMPLETION", {
                "TAG": completions.o.p.tag, "ERROR": completions.o.p.error, "VALID": Const(1, 1)}), 0)),
        ]
        values: dict[str, Value] = {
            "STATUS": status, "IRQ_ENABLE": irq_enable, "IRQ_STATUS": irq_status, "COMPLETION": oldest,
            "JOB_ADDR_LO": job_addr[:32], "JOB_ADDR_HI": job_addr[32:], "JOB_LIMIT": job_limit,
            "ACTIVITY": self.activity, "JOB_TAGS": self.tags,
        }

        pop = Signal()
        m.d.comb += completions.o.ready.eq(pop)
        answer_reads(m, self.axil, c, counters, high, values, pop)

        # Writes: what each register does with `write_data` under the bits `write_mask`.
        written, write_data, write_mask = take_writes(m, self.axil, c)
        merged = {"IRQ_ENABLE": irq_enable, "JOB_ADDR_LO": job_addr[:32], "JOB_ADDR_HI": job_addr[32:],
                  "JOB_LIMIT": job_limit}
        for name, target in merged.items():
            with m.If(written[name]):
                m.d.sync += target.eq(narrow((target & ~write_mask) | (write_data & write_mask), len(target)))
        with m.If(written["IRQ_STATUS"]):
            m.d.sync += irq_status.eq(irq_status & ~(write_data & write_mask)[:2])
        with m.If(finished):  # an event of this very cycle is not cleared
            failed = completions.i.p.error != ErrorCode.OK
            m.d.sync += [last_error.eq(completions.i.p.error), irq_status[0].eq(1)]
            with m.If(failed):
                m.d.sync += irq_status[1].eq(1)
        # A cycle late, like the events.
        m.d.sync += counters.clear.eq(written["COUNTER_CLEAR"])

        with m.If(self.push.ready):
            m.d.sync += self.push.valid.eq(0)
        with m.If(written["JOB_PUSH"]):
            room = self.push.ready & ~pushing & ~self.timed_out
            beyond = job_addr[c.addr_bits:].any()
            m.d.sync += refused.eq(~room)
            with m.If(room):
                m.d.sync += [
                    self.push.valid.eq(1), self.push.p.tag.eq((write_data & write_mask)[:16]),
                    self.push.p.addr.eq(job_addr[:c.addr_bits] | beyond),
                ]
        return m

    def _completions(self, m: Module, watchdog: JobWatchdog, queue: stream.Interface) -> Value:
        """Puts finished jobs into `queue`, and after a timeout the job that takes too long. Returns whether one enters
        now."""
        told = Signal()          # the queue has the late job
        tag = Signal(16)         # of the late job
        m.d.comb += [
            watchdog.working.eq(self.working), watchdog.ended.eq(self.completion.valid),
            self.timed_out.eq(watchdog.late), self.completion.ready.eq(queue.ready & ~self.timed_out),
        ]
        with m.If(~self.timed_out):
            m.d.sync += tag.eq(self.oldest)
            m.d.comb += [queue.valid.eq(self.completion.valid), queue.payload.eq(self.completion.payload)]
        with m.Else():
            m.d.comb += [queue.valid.eq(~told), queue.p.tag.eq(tag), queue.p.error.eq(ErrorCode.TIMEOUT)]
            with m.If(queue.ready):
                m.d.sync += told.eq(1)
        return queue.valid & queue.ready


def _fields(c: SpAttenConfig, register: str, values: dict[str, Value]) -> Value:
    """A register's word from the values of its fields."""
    word: Value = Const(0, 32)
    for f in register_map(c)[register].fields:
        word = word | (values[f.name][:f.width] << f.lsb)
    return word[:32]

