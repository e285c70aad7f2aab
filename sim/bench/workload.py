"""Requests of a file as jobs: operands whose rows turn out flat or not as each request says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.builder import head_scale
from spatten_hw.host.job import LayerJob
from spatten_hw.host.quantise import quantise
from spatten_hw.sim.golden.decision import flat
from spatten_hw.sim.golden.fetch import msb_operands
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.golden.score import scores
from spatten_hw.sim.golden.softmax import softmax

from .bounds import total
from .cases import Target
from .measure import Bench, Measurement
from .operands import OUT_UNIT, BenchPlan, Pool
from .report import Part, Row
from .requests import Request, RequestFile, Shape

#: A file that targets of the full preset speak of.
GPT2 = "gpt2-small-wikitext2"
#: Deviation of the scores of flat rows (1/n each, more or less), from the most natural to none at all.
FLAT_SPREADS = (0.25, 0.1, 0.03, 0.0)
#: How strongly a row that is not flat attends to one of its keys: q is that key times this.
PEAK_STRENGTHS = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)


def spread(keys: int, tokens: int) -> np.ndarray:
    """`keys` token numbers spread evenly over `tokens`, ascending."""
    return np.arange(keys, dtype=np.int64) * tokens // keys


def batches(requests: Sequence[Request], heads: int) -> Iterator[list[Request]]:
    """Requests of one shape that follow each other, at most `heads` at a time, the batches of a run as equal as can
    be."""
    for _, group in groupby(requests, key=lambda r: r.shape):
        alike = list(group)
        count = -(-len(alike) // heads)
        for n in range(count):
            yield alike[n * len(alike) // count:(n + 1) * len(alike) // count]


@dataclass
class RequestPlan:
    """The jobs of a file: pass i of `plan` computes the requests `jobs[i]`, one per head."""

    plan: BenchPlan
    jobs: list[list[Request]]


def gathered(requests: Sequence[Request]) -> list[Request]:
    """Requests that differ in nothing but the length of their context brought together, in the order in which each
    kind first comes, with the longest of their contexts: what a server does with requests that wait."""
    kinds: dict[Shape, list[Request]] = {}
    for r in requests:
        kinds.setdefault(replace(r.shape, tokens=0), []).append(r)
    result = []
    for alike in kinds.values():
        tokens = max(r.shape.tokens for r in alike)
        result += [replace(r, shape=replace(r.shape, tokens=tokens)) for r in alike]
    return result


def plan_requests(file: RequestFile, config: SpAttenConfig, heads: int, gather: bool = False) -> RequestPlan:
    """All jobs of a file, in its order or `gathered`. K and V of all requests of the same widths come from one pool of
    `heads` heads. A job like the one before goes on with its survivors."""
    plan = BenchPlan(config)
    jobs = list(batches(gathered(file.requests) if gather else file.requests, heads))
    most = max(len(job) for job in jobs)
    pools: dict[tuple, Pool] = {}
    for number, job in enumerate(jobs):
        shape = job[0].shape
        key = shape.dim, shape.k_bits, shape.v_bits
        if key not in pools:
            tokens = max(r.shape.tokens for r in file.requests if (r.shape.dim, r.shape.k_bits, r.shape.v_bits) == key)
            pools[key] = plan.pool(most, tokens, *key)
        ids = spread(shape.keys, shape.tokens)
        rows = [query(plan, pools[key], h, ids, request, file.source) for h, request in enumerate(job)]
        q = np.stack([codes for codes, _ in rows])[:, None]
        plan.add(pools[key], q, np.array([scale for _, scale in rows]), shape.q_bits, shape.tokens, ids=ids,
                 resume=number > 0 and len(jobs[number - 1]) == len(job) and jobs[number - 1][0].shape == shape,
                 label=f"requests of job {number}", generate=1, keep_values=shape.values, threshold=shape.threshold)
    return RequestPlan(plan, jobs)


def query(plan: BenchPlan, pool: Pool, head: int, ids: np.ndarray, request: Request, source: str,
          pull: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """A query (integers [D], real value of one unit) for a request on one head of a pool: flat or not as it says.

    Flat: every score near the mean. Not flat: in the direction of one of the surviving keys, chosen with a chance in
    proportion to its `pull` (default: all alike).
    """
    shape, rng = request.shape, plan.random
    codes, unit = pool.k.codes[head, ids], float(pool.k.scales[head])
    noise = rng.normal(size=shape.dim)
    at = rng.integers(len(ids)) if pull is None else rng.choice(len(ids), p=pull / pull.sum())
    aim = codes[at] * unit
    if not shape.k_bits[1]:
        tries = [noise]
    else:
        tries = [noise * s for s in FLAT_SPREADS] if request.flat else [aim * s for s in PEAK_STRENGTHS]
    for real in tries:
        q, scale = (x[0] for x in quantise(real[None, None], shape.q_bits))
        if not shape.k_bits[1] or _flat(plan.config, pool, head, codes, q, float(scale), request) == request.flat:
            return q[0], float(scale)
    wanted = "flat" if request.flat else "other than flat"
    raise UserError(f"{source}, line {request.line}: no query over {shape.keys} keys is {wanted} at a threshold of "
                    f"{shape.threshold / 4096:g}; change if_requant or auto_requant_thres")


def _flat(c: SpAttenConfig, pool: Pool, head: int, keys: np.ndarray, q: np.ndarray, q_scale: float,
          request: Request) -> bool:
    """What the accelerator will find."""
    shape = request.shape
    scale = head_scale(q_scale, float(pool.k.scales[head]), float(pool.v.scales[head]), shape.dim, OUT_UNIT)
    lsb = shape.k_bits[1]
    s = scores(q, msb_operands(keys >> lsb, lsb, midpoint=False))
    _, largest = softmax(s, [len(keys)], scale.score_mant, scale.score_pre, scale.score_post, c.max_tokens)
    return bool(flat(largest, shape.threshold)[0])


def run_requests(bench: Bench, file: RequestFile, heads: int, gather: bool = False,
                 target: Target | None = None) -> tuple[Row, Measurement, list[LayerJob]]:
    """All requests on a simulation: row of the table, run, jobs."""
    name = file.name + "-gathered" * gather
    bench.status.show(f"{name}, making queries")
    planned = plan_requests(file, bench.config, heads, gather)
    m = bench.run(name, planned.plan)
    check_flat(planned, m.results)
    row = request_row(name, file, planned, m, target, f"{len(planned.jobs)} jobs of up to {heads} heads")
    return row, m, planned.plan.jobs


def check_flat(planned: RequestPlan, results: Sequence[LayerResult]) -> None:
    """Exactly the requests that say so are flat."""
    for job, result in zip(planned.jobs, results, strict=True):
        assert result.refetched[:, 0].tolist() == [r.flat for r in job], "a row is flat that should not be, or not"


def request_row(name: str, file: RequestFile, planned: RequestPlan, m: Measurement, target: Target | None,
                note: str) -> Row:
    """The row of the table for all requests of a plan."""
    requests = [r for job in planned.jobs for r in job]
    notes, q_bits = [note], max(r.shape.q_bits for r in requests)
    if file.q_asked > q_bits:
        notes.append(f"Q has {q_bits} bits, as many as the build takes, not {file.q_asked}")
    shape = f"{len(requests)} requests, {sum(r.flat for r in requests)} with LSBs"
    return Row.of(name, shape, m, target, parts=tuple(classes(planned, m)), notes=tuple(notes))


def classes(planned: RequestPlan, m: Measurement) -> list[Part]:
    """The requests by what they fetch, in the order in which each class first comes."""
    found: dict[tuple[int, int], list[int]] = {}
    for number, job in enumerate(planned.jobs):
        s = job[0].shape
        found.setdefault((s.keys, s.values), []).append(number)
    return [Part(f"{keys} keys, {values} values", sum(len(planned.jobs[n]) for n in numbers),
                 sum(m.jobs[n] for n in numbers), total(m.bounds[n] for n in numbers),
                 sum(sum(m.results[n].bytes.values()) for n in numbers))
            for (keys, values), numbers in found.items()]
