"""The classifier under a point: verdicts on texts whose label is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.models.encoder import Encoder, Tokens

from .encoder import EncoderBench
from .verdicts import auc, lost_intervals


class ClassifierBench(EncoderBench):
    """Texts and whether each is an injection; the model's outputs are logits [2], safe and injection."""

    def __init__(self, model: Encoder, config: SpAttenConfig, texts: Sequence[Tokens], injections: Sequence[bool]):
        super().__init__(model, config, texts)
        self.truth = np.array(injections, dtype=bool)

    def accuracy(self, outputs: np.ndarray) -> dict[str, object]:
        """`loss`: lost accuracy, with its interval. `flips`: verdicts that are not those of float, at probability ½;
        `logit_error`: mean |difference| of ln(p / (1 − p)) to float's. AUC says how well the texts are ordered,
        whatever the threshold."""
        ours, theirs = (x[:, 1].astype(np.float64) - x[:, 0] for x in (outputs, self.floats))
        right, float_right = ((x >= 0) == self.truth for x in (ours, theirs))
        lost = lost_intervals(ours, theirs, self.truth)
        return {"texts": len(ours), "accuracy": float(right.mean()), "auc": auc(ours, self.truth),
                "flips": int(((ours >= 0) != (theirs >= 0)).sum()), "logit_error": float(np.abs(ours - theirs).mean()),
                "loss": float(float_right.mean() - right.mean()), "loss_interval": lost["accuracy"],
                "lost_auc": auc(theirs, self.truth) - auc(ours, self.truth), "lost_auc_interval": lost["auc"]}
