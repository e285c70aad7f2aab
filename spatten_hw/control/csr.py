"""Control and status registers on AXI4-Lite."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..interface.registers import (
    ADDRESS_BITS,
    COUNTER_BASE,
    COUNTER_INDEX_BITS,
    COUNTERS,
    RO,
    ErrorCode,
    register_map,
    registers,
)
from ..primitives.widths import narrow
from ..stream.fifo import StreamFifo
from .counters import PerformanceCounters, events_layout
from .job_reader import push_layout
from .watchdog import LIMIT_BITS, JobWatchdog

OKAY, SLVERR = 0, 2


def axil_signature() -> wiring.Signature:
    """AXI4-Lite as plain signals, directions of a master: 32 data bits, `ADDRESS_BITS` address bits."""
    return wiring.Signature({
        "awaddr": Out(ADDRESS_BITS), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(ADDRESS_BITS), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


def completion_layout() -> data.StructLayout:
    """A finished job: its tag and its `ErrorCode`."""
    return data.StructLayout({"tag": unsigned(16), "error": unsigned(8)})


class ControlRegisters(wiring.Component):
    """The registers of `registers.py` as an AXI4-Lite slave `axil`; address and data of a write in any order.

    `push`: jobs written to JOB_PUSH (a JOB_ADDR beyond the address space becomes a misaligned one, which the
    job reader refuses). `completion`: finished jobs, kept until read (`job_queue` + 2, then back-pressure).
    `events`, `busy`: to the performance counters; `queue_level`: jobs waiting or being read. `irq`: level, high while
    an enabled event is set in IRQ_STATUS. `activity`, `tags`: what ACTIVITY and JOB_TAGS show.

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
            "queue_level": In((c.job_queue + 1).bit_length()),
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
        self._reads(m, counters, high, values, pop)

        # Writes: what each register does with `write_data` under the bits `write_mask`.
        written, write_data, write_mask = self._writes(m)
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

    def _reads(self, m: Module, counters: PerformanceCounters, high: Signal, values: dict[str, Value],
               pop: Signal) -> None:
        """Answers reads; `values` of the registers that are not constant, `pop`: COMPLETION has been read."""
        bus = self.axil
        table = registers(self.config)
        address = Signal(ADDRESS_BITS, name="read_address")
        waiting = Signal(name="read_waiting")
        word = Signal(32, name="read_word")
        known = Signal(name="read_known")
        is_counter = Signal(name="read_counter")
        completion = Signal(name="read_completion")
        m.d.comb += bus.arready.eq(~waiting)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [address.eq(bus.araddr), waiting.eq(1)]
        end = COUNTER_BASE + 8 * len(COUNTERS)
        with m.Switch(address[2:]):
            for r in table:
                if not COUNTER_BASE <= r.offset < end:
                    with m.Case(r.offset >> 2):
                        m.d.comb += [known.eq(1), word.eq(values.get(r.name, r.reset))]
                        if r.name == "COMPLETION":
                            m.d.comb += completion.eq(1)
        with m.If((address >= COUNTER_BASE) & (address < end)):
            m.d.comb += [known.eq(1), word.eq(high), is_counter.eq(~address[2])]
        m.d.comb += [
            counters.index.eq((address - COUNTER_BASE)[3:3 + COUNTER_INDEX_BITS]),
            counters.request.eq(waiting & ~bus.rvalid & is_counter),
        ]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(waiting & ~bus.rvalid & (~is_counter | counters.done)):
            m.d.sync += [
                waiting.eq(0), bus.rvalid.eq(1), bus.rresp.eq(Mux(known, OKAY, SLVERR)),
                bus.rdata.eq(Mux(is_counter, counters.value[:32], word)),
            ]
            m.d.comb += pop.eq(completion)
            with m.If(is_counter):
                m.d.sync += high.eq(counters.value[32:])

    def _writes(self, m: Module) -> tuple[dict[str, Signal], Signal, Signal]:
        """Takes writes; returns a pulse per writable register, the data and the mask of its strobed bits."""
        bus = self.axil
        table = registers(self.config)
        address = Signal(ADDRESS_BITS, name="write_address")
        have_address = Signal(name="write_has_address")
        have_data = Signal(name="write_has_data")
        write_data = Signal(32)
        strobe = Signal(4, name="write_strobe")
        write_mask = Signal(32)
        known = Signal(name="write_known")
        now = Signal(name="write_now")
        m.d.comb += [
            bus.awready.eq(~have_address), bus.wready.eq(~have_data),
            write_mask.eq(Cat(s.replicate(8) for s in strobe)),
            now.eq(have_address & have_data & ~bus.bvalid),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address.eq(bus.awaddr), have_address.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [write_data.eq(bus.wdata), strobe.eq(bus.wstrb), have_data.eq(1)]
        written = {}
        with m.Switch(address[2:]):
            for r in table:
                if r.access != RO:
                    pulse = Signal(name=f"write_{r.name.lower()}")
                    written[r.name] = pulse
                    with m.Case(r.offset >> 2):
                        m.d.comb += [known.eq(1), pulse.eq(now & strobe.any())]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(now):
            m.d.sync += [
                have_address.eq(0), have_data.eq(0), bus.bvalid.eq(1), bus.bresp.eq(Mux(known, OKAY, SLVERR)),
            ]
        return written, write_data, write_mask


def _fields(c: SpAttenConfig, register: str, values: dict[str, Value]) -> Value:
    """A register's word from the values of its fields."""
    word: Value = Const(0, 32)
    for f in register_map(c)[register].fields:
        word = word | (values[f.name][:f.width] << f.lsb)
    return word[:32]

