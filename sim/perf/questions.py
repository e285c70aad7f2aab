"""Questions of the design: one parameter of `full` at a time, and what its layers make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .cases import Case, generation
from .machine import FULL, HBM, Latencies, Machine

#: The layers every answer shows: steady state (48 − 24 heads) and whole layers.
LAYERS = (*(Case(f"n={tokens} steady", generation(tokens, keep, 48, 64), before=24)
            for tokens, keep in ((204, 40), (102, 20))),
          *(Case(f"n={tokens}, {heads} heads", generation(tokens, keep, heads, 64))
            for tokens, keep, heads in ((1000, 200, 12), (204, 40, 48), (102, 20, 12), (102, 20, 48))))


@dataclass(frozen=True)
class Question:
    """Machines that differ in what is asked."""

    name: str
    machines: Sequence[Machine]

    def rows(self, seeds: int) -> Iterator[list[str]]:
        """A line per machine: cycles / bound of every layer, as they are found."""
        return ([m.name, *(f"{case.run(m, seeds).ratio:.3f}" for case in LAYERS)] for m in self.machines)


def each(base: Machine, field: str, values: Sequence[object]) -> list[Machine]:
    """A machine per value of a parameter, named after it."""
    return [base.replace(name=f"{field} {value}", **{field: value}) for value in values]


def questions() -> list[Question]:
    """All that were asked."""
    # Under "tail" the request order does not hide what is asked.
    base = FULL.replace(first="tail")
    far, hbm = base.replace(memory_latency=60), base.replace(**HBM)
    gap = [base.replace(name=f"gap {g}", latencies=Latencies(gather_gap=g)) for g in (4, 2, 1, 0)]
    quick = base.replace(name="gap 1, no empty rows", latencies=Latencies(gather_gap=1, skip=True))
    gap.append(quick)
    orders = ("key", "value", "oldest", "tail", "level")
    double = {"slices": 32, "topk_lanes": 32}
    return [
        Question("order of requests", each(FULL, "first", orders)),
        Question("order out of the pool", each(base, "out", ("key", "value", "oldest"))),
        Question("K request queue", each(base, "key_queue", (16, 32, 64, 128))),
        Question("K request queue, HBM with refresh, channels in turn", each(hbm, "key_queue", (16, 32, 64, 128))),
        Question("K request queue, HBM with refresh, all at once",
                 each(hbm.replace(refresh_spread=False), "key_queue", (16, 64))),
        Question("slots, items, no empty rows", [quick.replace(name=f"{s}, {i}", slots=s, items=i)
                                  for s, i in ((16, 16), (16, 32), (16, 64), (8, 32), (32, 64))]),
        Question("sums", each(base, "sums", (8, 16, 32))),
        Question("order of requests, no empty rows", each(FULL.replace(latencies=quick.latencies), "first", orders)),
        Question("V queue", each(base, "value_queue", (16, 32, 64))),
        Question("pool beats, reads; latency 60",
                 [far.replace(name=f"{p}, {r}", pool_beats=p, reads=r)
                  for p, r in ((64, 32), (128, 32), (128, 64), (256, 64), (256, 128))]),
        Question("chunks of a slice's feed", each(base, "feed_chunks", (4, 6, 8, 16))),
        Question("gap of the gather", gap),
        Question("slices per channel", [
            replace(base, name="1, chunk 32"), base.replace(name="2, chunk 16", chunk=16, feed_chunks=16, **double),
            base.replace(name="2, chunk 32", **double)]),
    ]
