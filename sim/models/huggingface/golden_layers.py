"""The layers of one sequence on the golden accelerator: real numbers in, integers within, real numbers out.

Scales: a prompt is quantised layer by layer to what is there (as a workload file is). A generation step keeps the
scales of the step before it, as K and V in memory do; the first step after a prompt, or after a step in which
something went beyond its scale, chooses new ones with `HEADROOM`. What lies between two such choices is a segment:
one workload file can express it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.folds import Folds
from spatten_hw.host.plan import LayerPass
from spatten_hw.host.quantise import MIN_MAGNITUDE, scales_of
from spatten_hw.host.results import LayerStats
from spatten_hw.host.workload import TOKEN_SCORE_UNIT
from spatten_hw.host.workload.options import JobOptions
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.layer_result import LayerResult

from .jobs import Layout, make_job
from .options import AttentionOptions, Sizes, outline
from .task import LayerOutcome, LayerTask

OUT_LIMIT = (1 << (OUT_BITS - 1)) - 1
#: In generation, a scale reaches this many times the largest magnitude seen when it is chosen. A query is one row of
#: many to come; K and V are of all tokens so far.
HEADROOM = {"q": 2.0, "k": 1.25, "v": 1.25}
#: The unit of outputs is chosen when V of the first layer is known; V of later layers may be this many times larger.
PEAK_MARGIN = 8.0


class GoldenLayers:
    """An accelerator with the state of one sequence."""

    def __init__(self, sizes: Sizes, options: AttentionOptions, config: SpAttenConfig):
        self.sizes, self.options, self.config = sizes, options, config
        self.accelerator = GoldenAccelerator(config)
        self.bits: dict[str, int] = {}
        self.out_unit = 0.0
        self.value_peak = 0.0
        self.scales: list[dict[str, np.ndarray]] = []
        self.folds: list[Folds] = []
        self.fixed = False
        self.clipped = False
        self.words: np.ndarray | None = None

    # -- passes ---------------------------------------------------------------------------------------

    def begin(self, tokens: int, new: bool, known: int = 0, apart: bool = False) -> bool:
        """A pass over `tokens` tokens, `known` of which were there before; whether a segment begins with it, which it
        does if it must be `apart`."""
        self.alive = np.arange(tokens)
        self.new, self.words = new, None
        # What was given up again, as guesses of the tokens to come are, leaves no importance to its places.
        given_up = not new and self.accelerator.cascade.token_scores[known:].any()
        if not new and self.fixed and not self.clipped and not apart and not given_up:
            return False
        if given_up:
            self.accelerator.cascade.token_scores[known:] = 0
        self.fixed, self.clipped = not new, False
        self.scales, self.folds = [], []
        if new:
            self.out_unit = 0.0
        else:
            self._rescale(self.options.value_peak or self.value_peak * HEADROOM["v"])
            self.words = self.accelerator.cascade.save_scores(tokens, self.sizes.kv_heads)
        return True

    @property
    def token_scores(self) -> np.ndarray:
        """Importance by token, real [max_tokens]."""
        return self.accelerator.cascade.token_scores * TOKEN_SCORE_UNIT

    @property
    def head_scores(self) -> np.ndarray:
        """Importance by K/V head, real."""
        return self.accelerator.cascade.head_scores[:self.sizes.kv_heads] * self.out_unit

    def _rescale(self, peak: float) -> None:
        """Takes another unit for outputs; the importance of heads, counted in it, is converted."""
        before = self.out_unit
        self.out_unit = peak / OUT_LIMIT if peak > MIN_MAGNITUDE else 1.0
        cascade = self.accelerator.cascade
        codes = np.rint(cascade.head_scores * (before / self.out_unit))
        cascade.head_scores = np.minimum(codes, float(cascade.head_max)).astype(np.int64)

    # -- layers ---------------------------------------------------------------------------------------

    def run(self, task: LayerTask) -> LayerOutcome:
        """One layer."""
        options = outline(self.sizes, task.tokens, task.generate, self.options, task.queries).options
        self.bits = {"q": options.q_bits, "k": sum(options.k_bits), "v": sum(options.v_bits)}
        rows = {"q": np.arange(task.queries) if task.generate else self.alive, "k": self.alive, "v": self.alive}
        peak = float(np.max(np.abs(task.v[:, self.alive])))
        self.value_peak = max(self.value_peak, peak)
        if not self.out_unit:
            self._rescale(self.options.value_peak or peak * PEAK_MARGIN)
        codes, clipped, folds = self._quantised(task, rows)
        if clipped and folds is not None:
            # A channel's peak over few tokens is soon surpassed: the layer is quantised anew, with this token.
            self.scales[task.layer:], later = [], self.scales[task.layer + 1:]
            self.folds[task.layer:], later_folds = [], self.folds[task.layer + 1:]
            codes, clipped, folds = self._quantised(task, rows)
            self.scales += later
            self.folds += later_folds
        scales = self.scales[task.layer]
        self.clipped |= clipped > 0
        p = self._pass(task, options, codes, scales)
        result = self.accelerator.run(p.job, p.q, p.k, p.v, descriptor=p.descriptor,
                                      scores_in=self.words if p.job.load_scores else None)
        self.alive = np.flatnonzero(result.tokens_alive)
        outcome = self._outcome(task, result, codes, scales, clipped)
        return outcome if folds is None else replace(outcome, out=folds.multiplied(outcome.out))

    def _quantised(self, task: LayerTask, rows: dict[str, Any]) -> tuple[dict[str, np.ndarray], int, Folds | None]:
        """Integers of a layer by its scales, which are chosen if it has none; how many are clipped; its factors."""
        folds = self._folds_of(task)
        real = dict(zip("qkv", (task.q, task.k, task.v) if folds is None else folds.divided(task.q, task.k, task.v),
                        strict=True))
        if len(self.scales) == task.layer:
            self.scales.append({n: self._scale(n, x[:, rows[n]]) for n, x in real.items()})
        codes, clipped = {}, 0
        for name, x in real.items():
            limit = (1 << (self.bits[name] - 1)) - 1
            wanted = np.rint(x / self.scales[task.layer][name][:, None, None])
            clipped += int((np.abs(wanted[:, rows[name]]) > limit).sum())
            codes[name] = np.clip(wanted, -limit, limit).astype(np.int64)
        return codes, clipped, folds

    def _folds_of(self, task: LayerTask) -> Folds | None:
        """The factors of a layer, as old as its scales; None: scales are per head."""
        if self.options.scales == "head":
            return None
        if len(self.folds) == task.layer:
            self.folds.append(Folds.of(task.k[:, self.alive], task.v[:, self.alive]))
        return self.folds[task.layer]

    def _scale(self, name: str, x: np.ndarray) -> np.ndarray:
        """The scale of every head of `x` [heads, rows, D]."""
        return scales_of(x * HEADROOM[name] if self.fixed else x, self.bits[name])

    def _pass(self, task: LayerTask, options: JobOptions, codes: dict[str, np.ndarray],
              scales: dict[str, np.ndarray]) -> LayerPass:
        layout = Layout(self.config, self.sizes, options, task.tokens)
        entries = layout.builder.scales(scales, self.out_unit)
        job = make_job(layout, task, entries, clear=self.new, load=self.words is not None)
        return LayerPass(task.step, task.layer, job, layout.descriptor, layout.planes["out"], codes["q"], codes["k"],
                         codes["v"])

    def _outcome(self, task: LayerTask, r: LayerResult, codes: dict[str, np.ndarray], scales: dict[str, np.ndarray],
                 clipped: int) -> LayerOutcome:
        stats = LayerStats(task.step, task.layer, int(r.tokens_alive.sum()), int(r.heads_alive.sum()), r.queries,
                           int(r.refetched.sum()), None, dict(r.bytes))
        return LayerOutcome(r.out * self.out_unit, r.tokens_alive, r.heads_alive, stats, codes, scales, clipped,
                            int((np.abs(r.out) >= OUT_LIMIT).sum()))
