"""A request file as what it was taken from: layers that follow each other, tokens pruned from layer to layer.

Every iteration starts again with all tokens of its context; every layer keeps as many as the file says, the most
important by the probabilities that they have received so far, over all layers and iterations. Nobody but the hardware
(and its golden model) knows which ones before the layer begins; no bitmap of survivors is loaded or stored in between.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.job import LayerJob
from spatten_hw.host.words import WORD_BYTES
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.layer_result import LayerResult

from .cases import Target
from .measure import Bench, Measurement
from .operands import BenchPlan, Pool
from .report import Row
from .requests import Request, RequestFile
from .workload import RequestPlan, check_flat, query, request_row

#: The last so many tokens are never pruned: a token just generated has had no time to become important.
PROTECT_LAST = 1

#: Requests by iteration, layer and head.
Steps = list[list[list[Request]]]


@dataclass
class CascadePlan(RequestPlan):
    """The jobs of a cascade, and what the golden model says of them: their queries could not be made without."""

    results: list[LayerResult]


def steps_of(file: RequestFile, limit: int | None = None) -> Steps:
    """The requests of a file by iteration, layer and head. `limit`: only the iterations that lie in the first so many
    requests (the file needs to hold one more, so that the end of an iteration shows).

    Raises a `UserError` for a file that is no cascade, or not one that a build runs without state in between.
    """
    steps: Steps = []
    wanted = file.requests if limit is None else file.requests[:limit]
    cut = None if limit is None or limit >= len(file.requests) else file.requests[limit].place[0]
    for iteration, group in groupby(wanted, key=lambda r: r.place[0]):
        if iteration == cut:
            break
        step = [list(layer) for _, layer in groupby(group, key=lambda r: r.place[1])]
        _check_step(file.source, step, steps)
        steps.append(step)
    if not steps:
        raise UserError(f"--limit {limit}: cuts the first iteration of {file.source}; a cascade needs whole ones, "
                        "give more")
    return steps


def _check_step(source: str, step: list[list[Request]], before: Steps) -> None:
    """Refuses an iteration that does not continue those `before`, or is no cascade in itself."""
    def refuse(r: Request, what: str, remedy: str) -> UserError:
        return UserError(f"{source}, line {r.line}: {what}: not a cascade; {remedy}")

    first = step[0][0]
    if any(first.place[0] == s[0][0].place[0] for s in before):
        raise refuse(first, f"iteration {first.place[0]} goes on after another", "bring its rows together")
    model = before[0] if before else step
    if len(step) != len(model):
        raise refuse(first, f"iteration {first.place[0]} has {len(step)} layers, the first one {len(model)}",
                     "give all iterations the same layers")
    kind = _kind(model[0][0])
    keys = first.shape.tokens
    for number, layer in enumerate(step):
        head = layer[0]
        if head.place[1] != number:
            raise refuse(head, f"layer_id is {head.place[1]} where layer {number} is due", "order the rows by layer")
        if len(layer) != len(model[0]):
            raise refuse(head, f"layer {number} has {len(layer)} heads, the first one {len(model[0])}",
                         "give all layers the same heads")
        for due, r in enumerate(layer):
            if r.place[2] != due:
                raise refuse(r, f"head_id is {r.place[2]} where head {due} is due", "order the rows by head")
            if r.shape != head.shape:
                raise refuse(r, f"head {due} differs from head 0 in sizes or widths",
                             "give the heads of a layer the same")
        if _kind(head) != kind or head.shape.tokens != first.shape.tokens:
            raise refuse(head, f"layer {number} has another context, head dimension, width or threshold",
                         "give the same to all layers")
        if head.shape.keys > keys:
            raise refuse(head, f"key_fetch_num grows to {head.shape.keys}, {keys} tokens are alive",
                         "keep at most as many as the layer before")
        keys = head.shape.keys


def _kind(r: Request) -> tuple:
    s = r.shape
    return s.dim, s.q_bits, s.k_bits, s.v_bits, s.threshold


def plan_cascade(file: RequestFile, config: SpAttenConfig, limit: int | None = None) -> CascadePlan:
    """The jobs of a file as a cascade, one per iteration and layer. K and V are those of a whole model: every layer
    and head has planes of its own. The last job stores survivors and importance, so that they can be compared."""
    steps = steps_of(file, limit)
    first = steps[0][0][0].shape
    heads, tokens = len(steps[0][0]), max(step[0][0].shape.tokens for step in steps)
    if heads > config.max_heads:
        raise UserError(f"{file.source}: {heads} heads in a layer, '{config.name}' has max_heads = {config.max_heads}; "
                        "choose another preset")
    plan = BenchPlan(config)
    golden = GoldenAccelerator(config)
    # What attention is like: a few tokens are looked at again and again, most of them seldom.
    pull = plan.random.permutation(1 / np.arange(1, tokens + 1))
    pools: list[Pool] = []
    planned = CascadePlan(plan, [], [])
    for job, (number, layer) in enumerate((n, layer) for step in steps for n, layer in enumerate(step)):
        shape = layer[0].shape
        if number == len(pools):
            pools.append(plan.pool(heads, tokens, first.dim, first.k_bits, first.v_bits))
        state: dict[str, Any] = {"clear_scores": int(job == 0), "keep_tokens": shape.keys, "protect_last": PROTECT_LAST}
        alive = _survivors(golden, state | {"tokens": shape.tokens, "heads": heads, "restart": int(number == 0)})
        rows = [query(plan, pools[number], h, alive, request, file.source, pull[alive])
                for h, request in enumerate(layer)]
        if job + 1 == len(steps) * len(steps[0]):
            state |= _stored(plan, shape.tokens, heads)
        plan.add(pools[number], np.stack([codes for codes, _ in rows])[:, None], np.array([unit for _, unit in rows]),
                 shape.q_bits, shape.tokens, resume=number > 0, label=f"iteration {layer[0].place[0]}, layer {number}",
                 generate=1, keep_values=shape.values, threshold=shape.threshold, **state)
        p = plan.passes[-1]
        planned.results.append(golden.run(p.job, p.q, p.k, p.v, descriptor=p.descriptor))
        planned.jobs.append(layer)
    return planned


def _survivors(golden: GoldenAccelerator, state: dict[str, int]) -> np.ndarray:
    """The tokens that will be alive in a job."""
    ahead = copy.deepcopy(golden.cascade)
    ahead.prepare({"load_scores": 0, "load_ids": 0, "keep_heads": state["heads"], "protect_first": 0, **state})
    return ahead.tokens_alive


def _stored(plan: BenchPlan, tokens: int, heads: int) -> dict[str, int]:
    """Fields of a job that stores all it knows."""
    return {"store_ids": 1, "ids_out": plan.arena.alloc(WORD_BYTES * (1 + tokens + heads)),
            "store_scores": 1, "scores_out": plan.arena.alloc(WORD_BYTES * (tokens + heads))}


def run_cascade(bench: Bench, file: RequestFile, limit: int | None = None,
                target: Target | None = None) -> tuple[Row, Measurement, list[LayerJob]]:
    """The cascade of a file on a simulation: row of the table, run, jobs."""
    name = f"{file.name}-cascade"
    bench.status.show(f"{name}, golden model and queries")
    planned = plan_cascade(file, bench.config, limit)
    check_flat(planned, planned.results)
    for layer, result in zip(planned.jobs, planned.results, strict=True):
        assert int(result.tokens_alive.sum()) == layer[0].shape.keys, "a layer keeps other than the file's count"
    m = bench.run(name, planned.plan, planned.results)
    note = f"{len(planned.jobs)} layers of {len(planned.jobs[0])} heads, pruned by the importance found on the way"
    return request_row(name, file, planned, m, target, note), m, planned.plan.jobs
