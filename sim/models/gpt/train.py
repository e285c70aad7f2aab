"""Trains the GPT: `python -m spatten_hw.sim.models.gpt.train`. Needs PyTorch (`pip install 'spatten-hw[train]'`).

The number of steps is fixed (some 13 minutes of one core); the seed too. Prints perplexity per character of the
held-out text, beside what frequencies of characters and of pairs of them reach.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from spatten_hw.errors import UserError
from spatten_hw.output import check_folder
from spatten_hw.sim.status import Status

from . import vocabulary
from .architecture import Architecture
from .corpus import held_out_text, training_texts
from .model import Gpt, save_gpt
from .perplexity import baselines, perplexity
from .weights import TrainingSettings, weights_path

#: Threads of PyTorch. One makes the result independent of the number of cores, and on a busy machine a step cheapest:
#: 0.8 s of processor time, 1.1 s with two.
THREADS = 1
#: Steps between lines of progress.
TELL = 10


def learning_rate(step: int, s: TrainingSettings) -> float:
    """The part (0 … 1) of the learning rates that `step` uses."""
    up, down = max(1.0, s.warm_up * s.steps), max(1.0, s.cool_down * s.steps)
    return min(1.0, (step + 1) / up, (s.steps - step) / down)


def train(architecture: Architecture, settings: TrainingSettings, texts: tuple[str, ...], status: Status
          ) -> tuple[Gpt, list[float]]:
    """A model trained on `texts` in equal parts, calibrated, and the loss (nats per character) of every step."""
    try:
        import torch
    except ImportError as error:
        raise UserError("training needs PyTorch; install with: pip install 'spatten-hw[train]'") from error
    from .network import forward, initial_weights, to_numpy
    from .optimiser import Optimiser

    torch.set_num_threads(THREADS)
    rng = np.random.default_rng(settings.seed)
    sources = [np.array(vocabulary.encode(text, "the corpus")) for text in texts]

    def batch(count: int) -> np.ndarray:
        rows = []
        for i in range(count):
            ids = sources[i % len(sources)]
            start = int(rng.integers(0, len(ids) - architecture.context))
            rows.append(ids[start:start + architecture.context + 1])
        return np.stack(rows)

    weights = initial_weights(architecture, torch.Generator().manual_seed(settings.seed))
    optimiser = Optimiser(weights, settings.matrix_rate, settings.rate)
    losses: list[float] = []
    start = time.monotonic()
    for step in range(settings.steps):
        ids = torch.from_numpy(batch(settings.batch))
        logits = forward(architecture, weights, ids[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, architecture.vocabulary), ids[:, 1:].reshape(-1))
        loss.backward()
        optimiser.step(learning_rate(step, settings))
        losses.append(float(loss.detach()))
        if step % TELL == TELL - 1 or step == settings.steps - 1:
            left = (time.monotonic() - start) / (step + 1) * (settings.steps - step - 1)
            recent = float(np.exp(np.mean(losses[-TELL:])))
            status.show(f"step {step + 1}/{settings.steps}, perplexity {recent:.2f}, {left:.0f} s left")
    model = to_numpy(architecture, weights)
    model.calibrate(batch(settings.calibration_windows)[:, :-1])
    return model, losses


def main() -> int:
    """Trains with the usual settings unless that has been done; prints what it reached as JSON."""
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.models.gpt.train", description=__doc__)
    parser.add_argument("--again", action="store_true", help="train even if the weights are there")
    parser.add_argument("--out", type=Path, help="where to write the weights (default: the folder of built things)")
    args = parser.parse_args()
    architecture, settings = Architecture(), TrainingSettings()
    try:
        path = args.out or weights_path(architecture, settings)
        if path.is_dir():
            raise UserError(f"{path}: is a folder; give a file name")
        check_folder(path.parent)
        if path.exists() and not args.again:
            print(f"{path} is there already (--again trains it once more)")
            return 0
        with Status() as status:
            status.show("reading the corpus")
            texts = training_texts()
            wall, cpu = time.monotonic(), time.process_time()
            model, losses = train(architecture, settings, texts, status)
            seconds, cpu = time.monotonic() - wall, time.process_time() - cpu
            status.show("perplexity of the held-out text")
            held = np.array(vocabulary.encode(held_out_text(), "the corpus"))
            known = np.array(vocabulary.encode("\n\n".join(texts), "the corpus"))
            model.info |= {
                "parameters": sum(w.size for w in model.weights.values()), "steps": settings.steps,
                "tokens": settings.steps * settings.batch * architecture.context,
                "training_characters": len(known), "held_out_characters": len(held),
                "training_perplexity": float(np.exp(np.mean(losses[-50:]))),
                "perplexity": perplexity(model, held), **baselines(known, held, architecture.vocabulary),
                "seconds": round(seconds), "cpu_seconds": round(cpu)}
            save_gpt(model, path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    print(json.dumps(model.info, indent=2))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
