"""The register table: RTL, `registers.json`, C header and driver are made from it.

Registers are 32 bits wide at byte offsets from the AXI4-Lite base; 64-bit ones are two, low half first.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..config import OPTIONAL, SpAttenConfig, clog2
from ..units import UNITS
from .activity import activity_register, tags_register
from .errors import ErrorCode
from .fields import RO, RW, W1C, WO, Field, Register

__all__ = ["COUNTERS", "RO", "RW", "W1C", "WO", "Counter", "ErrorCode", "Field", "Register", "counter_offset",
           "register_map", "registers"]

#: 'SPAT' in ASCII.
ID = 0x53504154
#: Version of the register interface: major · 2^16 + minor. A driver works with its own major version.
VERSION = 0x0002_0000
#: Width of an AXI4-Lite address: 4 KiB of registers.
ADDRESS_BITS = 12
PARAMETER_BASE = 0x080
COUNTER_BASE = 0x200


@dataclass(frozen=True)
class Counter:
    """A 64-bit performance counter. `unit`: "cycles" (one event bit), "count" (events counted, `bits` per cycle),
    "bytes" (beats counted, shown times the beat size). `reads`: every channel may ask for a whole row in a cycle, and a
    write in the same cycle may add one beat."""

    name: str
    unit: str
    doc: str
    bits: int = 1
    reads: bool = False

    def width(self, c: SpAttenConfig) -> int:
        """Width of the number counted in one cycle."""
        return (c.channels * c.most_beats + 1).bit_length() if self.reads else self.bits


COUNTERS: tuple[Counter, ...] = (
    Counter("cycles", "cycles", "cycles in which a job ran"),
    *(Counter(f"busy_{unit.event}", "cycles", unit.busy) for unit in UNITS if unit.busy),
    *(Counter(f"stall_{unit.event}", "cycles", unit.stall) for unit in UNITS if unit.stall),
    Counter("bytes_q", "bytes", "bytes of Q read", reads=True),
    Counter("bytes_k_msb", "bytes", "bytes of K's MSB plane read", reads=True),
    Counter("bytes_k_lsb", "bytes", "bytes of K's LSB plane read", reads=True),
    Counter("bytes_v_msb", "bytes", "bytes of V's MSB plane read", reads=True),
    Counter("bytes_v_lsb", "bytes", "bytes of V's LSB plane read", reads=True),
    Counter("bytes_out", "bytes", "bytes of outputs written"),
    Counter("bytes_other", "bytes", "bytes of descriptors and state read and written", reads=True),
    Counter("queries", "count", "queries of query heads finished"),
    Counter("refetches", "count", "flat rows scored again with LSBs", bits=6),
    Counter("topk_vectors", "count", "vectors that went through a top-k engine", bits=2),
)


def counter_offset(name: str) -> int:
    """Offset of a counter's low half; the high half is 4 bytes further."""
    return COUNTER_BASE + 8 * [n.name for n in COUNTERS].index(name)


def _parameters(c: SpAttenConfig) -> dict[str, tuple[int, str]]:
    own = {f: v for f, v in c.stated.items() if isinstance(v, int)}
    docs = {f.name: str(f.metadata.get("doc", "")) for f in c.__dataclass_fields__.values()}
    derived = {
        "slices": (c.slices, "slices of `chunk` multipliers per array (S)"),
        "addr_bits": (c.addr_bits, "width of an address of words: channel number above a local address"),
    }
    # Optional ones last: the others keep their places.
    known = {n: (v, docs[n]) for n, v in own.items()}
    optional = {n: known.pop(n) for n in OPTIONAL if n in known}
    return known | derived | optional


def registers(c: SpAttenConfig) -> tuple[Register, ...]:
    """All registers of a build, ascending offsets."""
    table = [
        Register("ID", 0x000, RO, ID, "'SPAT'"),
        Register("VERSION", 0x004, RO, VERSION, "register interface: major in the upper, minor in the lower half"),
        Register("CONFIG_HASH", 0x008, RO, c.hash, "hash of the configuration this hardware was built from"),
        Register("STATUS", 0x00C, RO, 0, "what the accelerator is doing", (
            Field("BUSY", 0, 1, "a job is queued, being read or running"),
            Field("RUNNING", 1, 1, "a job is running"),
            Field("PUSH_REFUSED", 2, 1, "the last write to JOB_PUSH was refused: the queue was full, or TIMED_OUT"),
            Field("TIMED_OUT", 3, 1, "a job took more cycles than JOB_LIMIT: nothing is started until a reset"),
            Field("QUEUE_LEVEL", 8, 8, "jobs pushed and not yet running"),
            Field("COMPLETIONS", 16, 8, "completions not yet read"),
            Field("ERROR", 24, 8, "error code of the job that finished last"),
        )),
        Register("IRQ_ENABLE", 0x010, RW, 0, "events that raise the interrupt", _events()),
        Register("IRQ_STATUS", 0x014, W1C, 0, "events that happened", _events()),
        Register("JOB_ADDR_LO", 0x018, RW, 0, "address of the descriptor for the next JOB_PUSH, low half"),
        Register("JOB_ADDR_HI", 0x01C, RW, 0, "high half"),
        Register("JOB_PUSH", 0x020, WO, 0, "a write queues the job at JOB_ADDR, or sets STATUS.PUSH_REFUSED", (
            Field("TAG", 0, 16, "returned with the job's completion"),
        )),
        Register("COMPLETION", 0x024, RO, 0, "oldest completion; a read removes it", (
            Field("TAG", 0, 16, "tag of the job"),
            Field("ERROR", 16, 8, "error code, 0 if it finished"),
            Field("VALID", 31, 1, "there was a completion"),
        )),
        Register("COUNTER_CLEAR", 0x028, WO, 0, "a write sets all performance counters to 0"),
        Register("JOB_LIMIT", 0x02C, RW, 0, "cycles a job may take before it ends with TIMEOUT; 0: any number"),
        activity_register(0x030),
        tags_register(0x034),
    ]
    for n, (name, (value, doc)) in enumerate(_parameters(c).items()):
        table.append(Register(name.upper(), PARAMETER_BASE + 4 * n, RO, value, f"build: {doc}"))
    for counter in COUNTERS:
        low = counter_offset(counter.name)
        table.append(Register(f"{counter.name.upper()}_LO", low, RO, 0,
                              f"{counter.doc}; reading it holds the high half of this moment"))
        table.append(Register(f"{counter.name.upper()}_HI", low + 4, RO, 0,
                              "high half held by the last read of any counter's low half"))
    assert PARAMETER_BASE + 4 * len(_parameters(c)) <= COUNTER_BASE
    assert counter_offset(COUNTERS[-1].name) + 8 <= 1 << ADDRESS_BITS
    return tuple(table)


def register_map(c: SpAttenConfig) -> dict[str, Register]:
    """The registers by name."""
    return {r.name: r for r in registers(c)}


def _events() -> tuple[Field, ...]:
    return (Field("JOB_DONE", 0, 1, "a job finished, with or without an error"),
            Field("JOB_ERROR", 1, 1, "a job finished with an error code"))


#: Width of a counter's index.
COUNTER_INDEX_BITS = clog2(len(COUNTERS))
