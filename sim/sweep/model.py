"""A point by the analytic model (`sim/estimate`): what is expected of random operands, in a millisecond."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.bench.workload import batches, gathered
from spatten_hw.sim.estimate import Estimates, Work, estimate, sequence

from .choices import Memory, Requests
from .layer import Layer

_NORMAL = NormalDist()


def measure_model(config: SpAttenConfig, work: Layer | Requests, memory: Memory) -> dict[str, object]:
    """The columns of an estimate (`metrics.METRICS`, without the kind)."""
    if isinstance(work, Requests):
        jobs = requests_work(work, config)
        found = estimate(jobs, config, memory.timing)
        weights, cycles = np.ones(len(jobs)), sequence(jobs, config, memory.timing)
    else:
        jobs = layer_work(work, config)
        found = estimate(jobs, config, memory.timing)
        # Steady: what the run with more heads takes beyond the one with fewer.
        weights = np.array([-1.0, 1.0] if work.steady else [1.0])
        cycles = float(found.cycles @ weights)
    items = float(jobs.items @ weights)
    return {
        "cycles": cycles, "cycles_per_query": cycles / items, "us": cycles * memory.clock / 1000,
        "bytes": float(found.total_bytes @ weights),
        **{f"bytes_{name}": float(count @ weights) for name, count in found.bytes.items()},
        "energy_nj": float(found.total_energy @ weights),
        **{f"energy_{_plain(name)}": float(nj @ weights) for name, nj in found.energy.items()},
        "bound": _bound(found, weights),
        **{f"busy_{_plain(name)}": float(busy @ weights) for name, busy in found.busy.items()}}


def _bound(found: Estimates, weights: np.ndarray) -> str:
    """The unit that is busy longest in all."""
    return max(found.busy, key=lambda name: float(found.busy[name] @ weights))


def _plain(name: str) -> str:
    """A name as a column has it."""
    return name.lower().replace("×", "x").replace(" ", "_").replace("-", "_")


def layer_work(layer: Layer, c: SpAttenConfig) -> Work:
    """A layer as counts, of two numbers of heads if it is steady."""
    heads = np.array(layer.head_counts(c)) // layer.group
    k, by_key = layer.alive, layer.generate and layer.rules.lsb_margin is not None
    keys = np.arange(1, k + 1) if layer.causal else np.full(1, k)
    kept = np.minimum(layer.keep, keys).mean()
    if layer.rules.keep_mass is not None:
        kept = min(kept, keys.mean() * mass_share(layer.rules.keep_mass))
    some = int(layer.alive < layer.tokens)
    near = near_share(layer.rules.lsb_margin or 0.0, k, layer.group) if by_key else None
    return Work.expected(
        tokens=layer.tokens, heads=heads, dim=layer.dim, generate=int(layer.generate), causal=int(layer.causal),
        group=layer.group, q_bits=layer.q_bits, k_bits=layer.k_bits[0], k_lsb_bits=layer.k_bits[1],
        v_bits=layer.v_bits[0], v_lsb_bits=layer.v_bits[1], keep_tokens=layer.alive / layer.tokens,
        keep_values=kept / keys.mean(), flat=layer.flat, near=near,
        by_mass=int(layer.rules.keep_mass is not None), gives_back=int(layer.rules.give_back), loads_state=some)


def mass_share(mass: float) -> float:
    """Share of the keys that make up `mass` of the probability, the largest first, if scores are N(0, 1) and many: of
    exp(s) the part above z is what N(1, 1) has above z."""
    return 1.0 if mass >= 1 else 1 - _NORMAL.cdf(1 + _NORMAL.inv_cdf(1 - mass))


def near_share(margin: float, keys: int, group: int) -> float:
    """Share of the keys within `margin` nats of the largest score of one query of a group, scores N(0, 1)."""
    largest = _NORMAL.inv_cdf((keys - 0.375) / (keys + 0.25)) if keys > 1 else 0.0
    alone = max(1 / keys, 1 - _NORMAL.cdf(largest - margin))
    return 1 - (1 - alone)**group


def requests_work(requests: Requests, config: SpAttenConfig) -> Work:
    """The jobs of a file, as `bench.workload.plan_requests` makes them."""
    file = requests.read(config)
    jobs = list(batches(gathered(file.requests) if requests.order == "gathered" else file.requests, requests.heads))
    shapes = [job[0].shape for job in jobs]
    again = np.array([n > 0 and len(jobs[n - 1]) == len(jobs[n]) and shapes[n - 1] == shapes[n]
                      for n in range(len(jobs))])

    def each(name: str, part: int | None = None) -> np.ndarray:
        return np.array([getattr(s, name) if part is None else getattr(s, name)[part] for s in shapes])

    return Work.expected(
        tokens=each("tokens"), heads=np.array([len(job) for job in jobs]), dim=each("dim"), q_bits=each("q_bits"),
        k_bits=each("k_bits", 0), k_lsb_bits=each("k_bits", 1), v_bits=each("v_bits", 0), v_lsb_bits=each("v_bits", 1),
        keep_tokens=each("keys") / each("tokens"), keep_values=each("values") / each("keys"),
        flat=np.array([np.mean([r.flat for r in job]) for job in jobs]), loads_state=~again, continues=again)
