"""What the demo prints: who survived, how close the vectors are, what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.models.encoder import Tokens
from spatten_hw.sim.models.engines import compared_lines
from spatten_hw.sim.models.minilm import MiniLM
from spatten_hw.sim.models.pruned import Encoding, dense_bytes
from spatten_hw.sim.report.of_demo import Watch
from spatten_hw.sim.report.record import RunRecord

DIM, RESET = "\x1b[9;2m", "\x1b[0m"


@dataclass
class Report:
    """A finished demo. `engine` may have `cycles`, `compared`, `mismatches` (hardware) or not (golden model)."""

    config: SpAttenConfig
    engine_name: str
    model: MiniLM
    texts: list[str]
    sentences: list[Tokens]
    results: list[Encoding]
    engine: Any
    seconds: float
    floats: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.floats = [self.model.encode(t) for t in self.sentences]

    @property
    def mismatches(self) -> list[str]:
        return getattr(self.engine, "mismatches", [])

    @property
    def cosines(self) -> list[float]:
        """Pruned vector against float vector, per sentence."""
        return [float(r.vector @ f) for r, f in zip(self.results, self.floats, strict=True)]

    @property
    def pairs(self) -> list[tuple[int, int, float, float]]:
        """(sentence, sentence, similarity of the pruned vectors, of the float vectors)."""
        return [(a, b, float(self.results[a].vector @ self.results[b].vector), float(self.floats[a] @ self.floats[b]))
                for a, b in combinations(range(len(self.results)), 2)]

    @property
    def moved(self) -> list[int]:
        """Bytes moved, per sentence."""
        return [sum(sum(layer.bytes.values()) for layer in r.layers) for r in self.results]

    @property
    def dense(self) -> list[int]:
        """Bytes of dense 12-bit attention, per sentence."""
        return [dense_bytes(self.model, len(t)) for t in self.sentences]


def render(r: Report, colour: bool) -> str:
    """The text on the terminal."""
    lines = []
    for i, (tokens, result) in enumerate(zip(r.sentences, r.results, strict=True)):
        lines += [f"Sentence {i + 1}: {r.texts[i]}"]
        before = set(range(len(tokens)))
        for layer, trace in enumerate(result.layers):
            alive = set(trace.tokens)
            words = " ".join(_piece(tokens.pieces[t], t in alive, colour) for t in sorted(before))
            before = alive
            heads = f"{len(trace.heads):2} heads{_gone(r, trace.heads)}"
            lines.append(f"  layer {layer}: {len(alive):3} tokens, {heads}: {words}")
        lines += [f"  cosine with the float model {r.cosines[i]:.4f}", ""]
    if r.pairs:
        source = "hardware" if r.engine_name == "rtl" else "golden"
        lines.append(f"Similarity of sentences  {source:>8}   float")
        lines += [f"  {a + 1} and {b + 1}".ljust(25) + f"{pruned:8.4f} {exact:7.4f}" for a, b, pruned, exact in r.pairs]
        lines.append("")
    moved, dense = sum(r.moved), sum(r.dense)
    lines.append(f"DRAM bytes: {moved:,}, {moved / dense:.0%} of dense 12-bit attention ({dense:,})")
    if r.engine_name == "rtl":
        lines.append(f"Cycles: {r.engine.cycles:,} of '{r.config.name}', simulated in {r.seconds:.1f} s")
        lines += compared_lines(r.mismatches, r.engine.compared, "layer")
    return "\n".join(lines)


def _piece(piece: str, alive: bool, colour: bool) -> str:
    if alive:
        return piece
    return f"{DIM}{piece}{RESET}" if colour else f"({piece})"


def _gone(r: Report, heads: list[int]) -> str:
    gone = [str(h) for h in range(r.model.heads) if h not in heads]
    return f" (without {', '.join(gone)})" if gone else ""


def as_json(r: Report) -> dict[str, Any]:
    """The same as data."""
    hardware = r.engine_name == "rtl"
    return {
        "preset": r.config.name, "config_hash": f"{r.config.hash:08x}", "engine": r.engine_name,
        "bit_exact": not r.mismatches if hardware else None, "mismatches": r.mismatches,
        "cycles": r.engine.cycles if hardware else None, "seconds": r.seconds,
        "bytes": sum(r.moved), "dense_bytes": sum(r.dense),
        "sentences": [
            {"text": text, "pieces": list(tokens.pieces), "cosine": cosine, "bytes": moved, "dense_bytes": dense,
             "vector": [float(x) for x in result.vector],
             "layers": [{"tokens": t.tokens, "heads": t.heads, "bytes": t.bytes} for t in result.layers]}
            for text, tokens, cosine, moved, dense, result in zip(
                r.texts, r.sentences, r.cosines, r.moved, r.dense, r.results, strict=True)],
        "pairs": [{"sentences": [a, b], "pruned": pruned, "float": exact} for a, b, pruned, exact in r.pairs],
    }


def record(r: Report, watches: list[Watch]) -> RunRecord:
    """The same as a report; `watches` saw the sentences in order."""
    sequences = tuple(
        watch.sequence(f"Sentence {i + 1}: {text}", tokens.pieces, f"cosine with the float model {cosine:.4f}")
        for i, (watch, text, tokens, cosine) in enumerate(zip(watches, r.texts, r.sentences, r.cosines, strict=True)))
    return RunRecord("A sentence encoder on SpAtten: all-MiniLM-L6-v2", r.engine_name, r.config.name,
                     f"{r.config.hash:08x}", not r.mismatches if r.engine_name == "rtl" else None, sequences)
