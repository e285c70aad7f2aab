"""What the accelerator is busy with and what it waits for: the register ACTIVITY and its text."""

from __future__ import annotations

from enum import IntEnum

from ..units import ACTIVE
from .fields import RO, Field, Register


class FrontState(IntEnum):
    """What the front stage (survivors, K, Q, scores, softmax) does with its job."""

    IDLE = 0
    BLOCKED = 1
    PREPARING = 2
    HELD = 3
    SCORING = 4
    FINISHING = 5
    REFUSED = 6


class BackState(IntEnum):
    """What the back stage (top-k, V, outputs) does with its job."""

    IDLE = 0
    OUTPUTS = 1
    ENDING = 2


_FRONT_TEXTS = {
    FrontState.IDLE: "idle", FrontState.BLOCKED: "waits for the jobs before it (barrier or stored state)",
    FrontState.PREPARING: "prepares survivors", FrontState.HELD: "waits with a prompt for the job before it",
    FrontState.SCORING: "scores", FrontState.FINISHING: "merges and stores scores",
    FrontState.REFUSED: "ends a refused job",
}
_BACK_TEXTS = {BackState.IDLE: "idle", BackState.OUTPUTS: "makes outputs", BackState.ENDING: "reports its completion"}

#: Bit → (field, words for a user, what the bit says).
ACTIVE_UNITS = tuple(((unit.event or unit.name).upper(), unit.word, unit.active) for unit in ACTIVE)
#: The same for unanswered accesses to memory.
READS = (
    ("READ_Q", "reads of Q"), ("READ_K", "reads of K"), ("READ_V", "reads of V"),
    ("READ_DESCRIPTOR", "reads of a descriptor"), ("READ_STATE", "reads of state"),
)
WRITES = (("WRITE_OUTPUT", "writes of outputs"), ("WRITE_STATE", "writes of state"))
#: Work items of the job in the front and of the one in the back.
ITEMS = (
    ("ISSUING", "work items are still to be issued"),
    ("FRONT_ITEMS", "work items are between their issue and the end of their probabilities"),
    ("BACK_ITEMS", "work items are between their probabilities and their output row"),
)
#: First bit of each part of ACTIVITY; the units begin at bit 0.
ACCESS, FRONT, BACK, ITEM_BITS = 8, 16, 20, 24


def activity_register(offset: int) -> Register:
    """ACTIVITY: live, a few cycles late."""
    return Register("ACTIVITY", offset, RO, 0, "which units have work, and which accesses to memory are unanswered", (
        *(Field(name, n, 1, doc) for n, (name, _, doc) in enumerate(ACTIVE_UNITS)),
        *(Field(name, ACCESS + n, 1, f"{text} are unanswered and the next thing wanted") for n, (name, text)
          in enumerate(READS)),
        *(Field(name, ACCESS + len(READS) + n, 1, f"{text} are unanswered") for n, (name, text) in enumerate(WRITES)),
        Field("FRONT", FRONT, 3, "front stage: " + _list(_FRONT_TEXTS)),
        Field("BACK", BACK, 2, "back stage: " + _list(_BACK_TEXTS)),
        *(Field(name, ITEM_BITS + n, 1, doc) for n, (name, doc) in enumerate(ITEMS)),
    ))


def tags_register(offset: int) -> Register:
    """JOB_TAGS: which jobs ACTIVITY describes."""
    return Register("JOB_TAGS", offset, RO, 0, "tags of the jobs in the two stages", (
        Field("FRONT", 0, 16, "of the job in the front stage, or the last one there"),
        Field("BACK", 16, 16, "of the job in the back stage, or the last one there"),
    ))


def describe(activity: int, tags: int) -> str:
    """The registers ACTIVITY and JOB_TAGS in words, one line."""
    def named(first: int, table: tuple[tuple[str, ...], ...]) -> list[str]:
        return [row[1] for n, row in enumerate(table) if activity >> first + n & 1]

    front, back = activity >> FRONT & 7, activity >> BACK & 3
    parts = []
    stages: tuple[tuple[str, int, dict, int], ...] = (
        ("front", front, _FRONT_TEXTS, tags & 0xFFFF), ("back", back, _BACK_TEXTS, tags >> 16))
    for stage, state, texts, tag in stages:
        text = texts.get(state, f"state {state}")
        parts.append(f"{stage} stage: {text}" + (f" (job {tag})" if state else ""))
    parts.append("busy: " + (", ".join(named(0, ACTIVE_UNITS)) or "no unit"))
    parts.append("unanswered: " + (", ".join(named(ACCESS, READS + WRITES)) or "no access to memory"))
    return "; ".join(parts)


def _list(texts: dict) -> str:
    return ", ".join(f"{int(state)} {text}" for state, text in texts.items())
