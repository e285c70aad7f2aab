"""What `generate-text` and `chat` print after the text: who survived, what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.results import BYTE_CLASSES
from spatten_hw.sim.models.decoder.session import Trace
from spatten_hw.sim.models.decoder.settings import DecoderSettings
from spatten_hw.sim.models.engines import compared_lines


@dataclass
class Report:
    """A finished generation, by tokens: `text` was generated after `prompt`; `unit`: a token in words; `traces`: every
    job in order, each of a `part` of the model; `eviction`: policy and cache, if tokens are dropped for good."""

    config: SpAttenConfig
    engine: str
    settings: DecoderSettings
    prompt: tuple[str, ...]
    text: tuple[str, ...]
    traces: list[Trace]
    mismatches: list[str]
    compared: int
    seconds: float
    unit: str = "character"
    part: str = "layer"
    eviction: dict[str, object] | None = None

    @property
    def bit_exact(self) -> bool | None:
        return not self.mismatches if self.engine == "rtl" else None

    @property
    def cycles(self) -> int | None:
        return sum(t.result.cycles or 0 for t in self.traces) if self.engine == "rtl" else None

    def bytes_of(self, traces: list[Trace]) -> dict[str, int] | None:
        """Bytes by class; None if the engine moves none."""
        if self.engine == "float":
            return None
        return {name: sum((t.result.bytes or {})[name] for t in traces) for name in BYTE_CLASSES}


def render(r: Report) -> str:
    """The text on the terminal."""
    layers = max(t.layer for t in r.traces) + 1
    last = r.traces[-layers:]
    lines = [f"{len(r.prompt)} {r.unit}s of prompt, {len(r.text)} generated, engine {r.engine}, "
             f"'{r.config.name}' ({r.config.hash:08x}), {r.seconds:.1f} s"]
    heads = f" and {len(last[0].result.heads_alive)} heads" if r.part == "layer" else ""
    lines.append(f"last step, of {last[0].tokens} tokens{heads}: " + "; ".join(_survivors(last, r.part)))
    parts = {"prompt": [t for t in r.traces if not t.step], "steps": [t for t in r.traces if t.step]}
    for name, traces in parts.items():
        moved = r.bytes_of(traces)
        if not traces or moved is None:
            continue
        total, dense = sum(moved.values()), sum(t.dense_bytes for t in traces)
        rows, again = (sum(getattr(t.result, what) for t in traces) for what in ("queries", "refetched"))
        lines.append(f"{name}: DRAM bytes {total:,}, {total / dense:.0%} of dense 12-bit attention ({dense:,}, "
                     f"{dense / total:.2f}x); LSBs for {again / rows:.0%} of {rows:,} query rows")
    if r.engine == "rtl":
        lines.append(f"cycles {r.cycles:,}, of which {sum(t.result.cycles or 0 for t in parts['steps']):,} in steps")
        lines += compared_lines(r.mismatches, r.compared, "job")
    return "\n".join(lines)


def _survivors(traces: list[Trace], part: str) -> Iterator[str]:
    """Who took part, by parts of the model; neighbouring ones with the same numbers together."""
    def counts(t: Trace) -> tuple[int, int]:
        return int(t.by_position.tokens_alive.sum()), int(t.result.heads_alive.sum())

    for (tokens, heads), alike in groupby(traces, key=counts):
        first, *others = [t.layer for t in alike]
        layers = f"{part}s {first} to {others[-1]}" if others else f"{part} {first}"
        yield f"{layers}: {tokens} tokens" + (f", {heads} heads" if part == "layer" else "")


def as_json(r: Report) -> dict[str, Any]:
    """The same as data, job by job."""
    settings = {name: value for name, value in asdict(r.settings).items() if name != "schedule"}
    return {
        "preset": r.config.name, "config_hash": f"{r.config.hash:08x}", "engine": r.engine, "bit_exact": r.bit_exact,
        "mismatches": r.mismatches, "prompt": "".join(r.prompt), "text": "".join(r.text),
        "settings": settings | {"schedule": repr(r.settings.schedule)},
        "bytes": r.bytes_of(r.traces), "dense_bytes": sum(t.dense_bytes for t in r.traces), "cycles": r.cycles,
        "seconds": r.seconds, "jobs_per": r.part, "eviction": r.eviction,
        "layers": [
            {"step": t.step, "layer": t.layer, "tokens": t.tokens,
             "alive": np.flatnonzero(t.by_position.tokens_alive).tolist(),
             "heads": np.flatnonzero(t.result.heads_alive).tolist(), "queries": t.result.queries,
             "refetched": t.result.refetched, "bytes": t.result.bytes, "dense_bytes": t.dense_bytes,
             "cycles": t.result.cycles} for t in r.traces],
    }
