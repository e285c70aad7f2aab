"""A segment: passes of one sequence that one workload file can express, kept for `SpAttenAttention.dump`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatten_hw.host.workload.schedule import LayerCounts

from .options import AttentionOptions, Sizes
from .task import LayerOutcome


@dataclass
class Segment:
    """A prompt, or generation steps `first_step` …, of `queries` each, of sequence number `sequence`, with
    `token_scores` and `head_scores` to start from. `operands`, `outs`: [pass][layer]; only whole passes count."""

    sequence: int
    first_step: int
    generate: bool
    causal: bool
    sizes: Sizes
    queries: int = 1
    token_scores: np.ndarray | None = None
    head_scores: np.ndarray | None = None
    out_unit: float = 0.0
    keeps: list[LayerCounts | None] = field(default_factory=list)
    outcomes: list[list[LayerOutcome]] = field(default_factory=list)

    def begin_pass(self, keep: LayerCounts | None) -> None:
        """The layers of another pass follow."""
        self.keeps.append(keep)
        self.outcomes.append([])

    def put(self, outcome: LayerOutcome) -> None:
        """The next layer of the pass. K and V hold those of all passes before it, which are let go."""
        layers = self.outcomes[-1]
        if len(self.outcomes) > 1:
            before = self.outcomes[-2][len(layers)].operands
            before.pop("k", None)
            before.pop("v", None)
        layers.append(outcome)

    @property
    def whole(self) -> list[list[LayerOutcome]]:
        """The passes in which every layer ran."""
        return [p for p in self.outcomes if len(p) == self.sizes.layers]

    @property
    def name(self) -> str:
        """Of its file, without the ending."""
        return f"sequence-{self.sequence}-" + (f"steps-{self.first_step}" if self.generate else "prompt")

    @property
    def out(self) -> np.ndarray:
        """[layers, query_heads, rows, D]: what the model was given; rows are tokens, or steps."""
        return np.concatenate([[o.out for o in p] for p in self.whole], axis=2)

    def arrays(self) -> dict[str, np.ndarray]:
        """The keys of the workload file."""
        passes = self.whole
        last = passes[-1]
        result: dict[str, Any] = {
            "q": np.concatenate([[o.operands["q"] for o in p] for p in passes], axis=2),
            "k": np.stack([o.operands["k"] for o in last]), "v": np.stack([o.operands["v"] for o in last])}
        for name in ("q", "k", "v"):
            if last[0].scales is not None:
                result[f"{name}_scale"] = np.stack([(o.scales or {})[name] for o in last])
        if self.out_unit:
            result["out_unit"] = np.array(self.out_unit)
        if self.token_scores is not None:
            scores = np.zeros(result["k"].shape[2])
            scores[:min(len(scores), len(self.token_scores))] = self.token_scores[:len(scores)]
            result |= {"token_scores": scores, "head_scores": self.head_scores}
        return result

    def job(self, options: AttentionOptions) -> str:
        """The JSON of the job."""
        tokens = self.whole[-1][-1].operands["k"].shape[1]
        job = options.job(tokens, self.generate, self.causal, self.queries)
        keeps = [k for k in self.keeps[:len(self.whole)] if k is not None]
        for field_name in ("tokens", "heads", "values") if keeps else ():
            counts = [list(getattr(k, field_name)) for k in keeps]
            job[f"keep_{field_name}"] = counts if self.generate else counts[0]
        return json.dumps(job)
