"""All parts, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS

from .section import Section
from .sections import design_space, end_to_end, reductions, requests, rivals, roofline, silicon, sorter, speedup, topk
from .study import Study

#: By name; None: of no interest with these options.
PARTS: dict[str, Callable[[Study], Section | None]] = {
    "reductions": reductions.run, "roofline": roofline.run, "rivals": rivals.run, "speedup": speedup.run,
    "breakdown": topk.steps, "topk": topk.lanes, "sorter": sorter.run, "design-space": design_space.run,
    "end-to-end": end_to_end.run, "silicon": silicon.run, "requests": requests.run}

#: What no part can give.
NOT_HERE = (
    "Accuracies of fine-tuned models (the paper: none lost, but 2 % of BERT-Large on SQuAD): neither its checkpoints "
    "nor the data sets are at hand. What pruning and widths cost models that are, is in docs/accuracy.md.",
    "Times and energies of the paper's CPUs and GPUs benchmark by benchmark: it gives averages, which are quoted.",
)


def evaluate(study: Study, only: Sequence[str] | None = None) -> list[Section]:
    """The parts, or those named. `UserError` for an unknown one."""
    for name in only or ():
        if name not in PARTS:
            raise UserError(f"unknown part '{name}'; parts: {', '.join(PARTS)}")
    found = []
    for name, part in PARTS.items():
        if not only or name in only:
            study.say(name)
            section = part(study)
            if section is not None:
                found.append(section)
    return found


def source() -> str:
    """Of which accelerator the numbers are."""
    builds = ", ".join(f"{name} ({PRESETS[name].hash:08x})" for name in ("full", "eighth"))
    return ("The paper: H. Wang, Z. Zhang, S. Han, SpAtten, HPCA 2021 (arXiv 2012.09852v3). Ours: cycles and bytes by "
            f"the model of docs/model.md; presets and their configuration hashes: {builds}.")
