"""A generation or prompt job of one K/V head by its definition: Python integers and fractions, a number at a time.

Written apart from the golden model, for its decision rules: LSBs by key, values by mass, what was dropped given back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import HeadScale, LayerJob
from spatten_hw.softmax.formats import LOW_BITS, PROB_SHIFT, Y_FRACTION, exp2_table, sum_fraction


def over(number: int, shift: int) -> int:
    """number / 2^shift, half to even, as Python rounds fractions."""
    return round(Fraction(number, 1 << shift))


def exponent(below: int, scale: HeadScale) -> int:
    d = min(over(below, scale.score_pre), (1 << 18) - 1)
    return min(over(d * scale.score_mant, scale.score_post), (1 << 19) - 1)


def power(y: int) -> tuple[int, int]:
    """(m, i): 2^−y ≈ m·2^−(16 + i)."""
    whole, fraction = divmod(y, 1 << Y_FRACTION)
    segment, low = divmod(fraction, 1 << LOW_BITS)
    base, slope = exp2_table()[segment]
    return round(Fraction(base, 16) - Fraction(slope * low, 1024)), whole


def softmax(scores: list[int], scale: HeadScale, max_tokens: int) -> tuple[list[int], int, list[int]]:
    """(probabilities, the largest as the decision has it, exponents)."""
    fraction = sum_fraction(max_tokens)
    ys = [exponent(max(scores) - s, scale) for s in scores]
    powers = [power(y) for y in ys]
    total = sum(over(m << fraction - 16, i) for m, i in powers)
    k = (total >> fraction).bit_length() - 1
    t = round(Fraction(total << 16, 1 << fraction + k))
    if t == 1 << 17:
        t, k = t // 2, k + 1
    r = round(Fraction(1 << 33, t))

    def probability(m: int, i: int) -> int:
        return min(4095, over(m * r, PROB_SHIFT + i + k))

    return [probability(m, i) for m, i in powers], probability(1 << 16, 0), ys


def kept_values(probs: list[int], order: list[tuple[int, int]], keep: int, share: int) -> set[int]:
    """Keys used, by the threshold of their definition; `order`: (row, slice) of every key, by which ties end."""
    total = sum(probs)
    target = -(-share * total // 4096)
    if share and total == 0:
        return {min(range(len(probs)), key=lambda key: order[key])}
    keep = min(keep, len(probs))

    def enough(t: int) -> bool:
        at_least = [p for p in probs if p >= t]
        return len(at_least) >= keep or (bool(share) and sum(at_least) >= target)

    t = max(p for p in probs if enough(p))
    above = [key for key, p in enumerate(probs) if p > t]
    equal = keep - len(above)
    if share and t:
        equal = min(equal, -(-(target - sum(probs[key] for key in above)) // t))
    assert equal >= 1
    ties = sorted((key for key, p in enumerate(probs) if p == t), key=lambda key: order[key])
    return {*above, *ties[:equal]}


def output(acc: int, scale: HeadScale, total: int, kept: int, give_back: int) -> int:
    mant, shift = scale.out_mant, scale.out_shift
    if give_back and kept != total:
        r = 1 << 14
        if kept:
            size = kept.bit_length() - 1
            inverse = round(Fraction(1 << 33, kept << 16 >> size))
            r = min((1 << 18) - 1, over(total * inverse, 3 + size))
        s = (r >> 14).bit_length()
        mant, shift = min((1 << 17) - 1, over(mant * r, 14 + s)), shift - s
    return max(-(1 << 15), min((1 << 15) - 1, over(acc * mant, shift)))


@dataclass
class Answer:
    """What a K/V head gives: by member and query outputs, whether flat, keys used; keys whose LSBs were read; Σ p."""

    out: list[list[list[int]]] = field(default_factory=list)
    flat: list[list[bool]] = field(default_factory=list)
    kept: list[list[set[int]]] = field(default_factory=list)
    lsb_keys: set[int] = field(default_factory=set)
    importance: list[int] = field(default_factory=list)


def run(job: LayerJob, config: SpAttenConfig, queries: list[list[list[int]]], k: list[list[int]], v: list[list[int]],
        order: list[tuple[int, int]], scales: list[HeadScale]) -> Answer:
    """`queries` [member][row][D]; `k`, `v` [alive][D]; row i sees the first i + 1 keys of a causal prompt."""
    n, low = len(k), 1 << job.k_lsb
    rough = [[x // low * low for x in row] for row in k]
    answer = Answer(importance=[0] * n)
    first, near = [], set()
    for member, scale in zip(queries, scales, strict=True):
        passes = []
        for place, q in enumerate(member):
            length = place + 1 if job.causal else n
            scores = [sum(a * b for a, b in zip(q, row, strict=True)) for row in rough[:length]]
            probs, largest, ys = softmax(scores, scale, config.max_tokens)
            near |= {key for key, y in enumerate(ys) if y <= job.lsb_margin}
            passes.append((scores, probs, bool(job.k_lsb) and largest < job.threshold))
        first.append(passes)
    listed = near if job.lsb_by_key else set(range(n))
    if any(flat for passes in first for _, _, flat in passes):
        answer.lsb_keys = listed
    for member, scale, passes in zip(queries, scales, first, strict=True):
        outs, flats, kepts = [], [], []
        for q, (scores, probs, flat) in zip(member, passes, strict=True):
            if flat:
                middle = low // 2 if job.lsb_by_key else 0
                scores = [s + sum(a * (x % low - middle) for a, x in zip(q, k[key], strict=True) if key in listed)
                          for key, s in enumerate(scores)]
                probs, _, _ = softmax(scores, scale, config.max_tokens)
            kept = kept_values(probs, order[:len(probs)], job.keep_values, job.mass_share)
            half = (1 << job.v_lsb) // 2
            values = v if flat else [[x >> job.v_lsb << job.v_lsb | half for x in row] for row in v]
            acc = [sum(probs[key] * values[key][d] for key in kept) for d in range(job.dim)]
            outs.append([output(a, scale, sum(probs), sum(probs[key] for key in kept), job.give_back) for a in acc])
            flats.append(flat)
            kepts.append(kept)
            for key, p in enumerate(probs):
                answer.importance[key] += p
        answer.out.append(outs)
        answer.flat.append(flats)
        answer.kept.append(kepts)
    return answer
