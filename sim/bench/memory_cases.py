"""The cases of `bench memory`: layers whose reads are what counts, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spatten_hw.config import LSB_WIDTH, SpAttenConfig

from .cases import Case, standard_cases
from .measure import Measurement
from .memory_side import sustained
from .operands import BenchPlan, quantise, widest
from .report import Row
from .requests import Request, Shape
from .session import Figure, Outcome, Session
from .workload import query

#: Percentages of flat rows.
REFETCHES = (0, 6, 30, 100)
#: Heads of the refetch cases, if the build takes so many.
REFETCH_HEADS = 48
#: A row is flat below this largest probability (of 4096).
THRESHOLD = 205
#: Peak bandwidth reached, cycles against perfect memory.
DENSE_TARGET, SUMMARISE_TARGET = 0.92, 1.02
#: Bytes of K and V that a group of query heads shares, against dense attention.
GROUPED_TARGET = 1.01
#: Part of what the memory alone reaches: steady, and one layer.
PRUNED_TARGETS = {True: 0.93, False: 0.65}


def read_total(m: Measurement, *but: str) -> int:
    """Bytes read in a run that stores no state, without those of some classes."""
    return sum(sum(r.bytes.values()) - sum(r.bytes[name] for name in ("out", *but)) for r in m.results)


# -- generation, everything kept ---------------------------------------------------------------------------


def dense(s: Session, case: Case) -> Outcome:
    """Bytes per cycle while fetching."""
    plans = [case.plan(s.config, heads) for heads in case.head_counts(s.config)]
    runs = [s.bench.run(case.name, plan, window=True) for plan in plans]
    moved, window, row = read_total(runs[-1], "other"), runs[-1].window, Row.of(case.name, case.shape, runs[-1])
    if case.steady:
        moved, window = moved - read_total(runs[0], "other"), window - runs[0].window
        less, more = case.head_counts(s.config)
        row = Row.between(case.name, f"{case.shape}, {more} − {less}", runs[0], runs[1], None)
    rate = moved / window
    return s.outcome(row, plans[-1].jobs, runs[-1], [
        Figure("bytes per cycle while fetching", rate), Figure("of the ports' peak", rate / s.peak,
                                                               s.wanted(DENSE_TARGET), percent=True)])


def grouped(s: Session, case: Case) -> Outcome:
    """Bytes of K and V against those of dense attention, which reads each row once."""
    plan = case.plan(s.config, case.heads)
    m = s.bench.run(case.name, plan)
    kv_heads = case.heads // case.group
    rows = 2 * kv_heads * case.tokens * case.dim * case.bits / 8
    read = read_total(m, "q", "other")
    return s.outcome(Row.of(case.name, case.shape, m), plan.jobs, m, [
        Figure("bytes of K and V / dense", read / rows, s.wanted(GROUPED_TARGET), least=False),
        Figure("cycles / bound", m.cycles / m.bounds[0].limit)])


# -- generation, pruned ------------------------------------------------------------------------------------


def pruned_plan(case: Case, c: SpAttenConfig, heads: int) -> BenchPlan:
    """A generation layer over 30 % of its tokens, at random, ascending; a fifth of the values kept."""
    plan = BenchPlan(c)
    alive = max(1, case.tokens * 3 // 10)
    ids = np.sort(np.random.default_rng(2).choice(case.tokens, alive, replace=False))
    pool = plan.pool(heads, case.tokens, case.dim, (case.bits, 0), (case.bits, 0))
    q_bits = widest(12, c)
    q, scales = quantise(plan.normal(heads, 1, case.dim), q_bits)
    plan.add(pool, q, scales, q_bits, case.tokens, ids=ids, label=f"{heads} heads", generate=1,
             keep_values=max(1, alive // 5))
    return plan


def pruned(s: Session, case: Case) -> Outcome:
    """Cycles against those that memory and ports alone take for the same reads; steady without refreshes."""
    counts = case.head_counts(s.config)
    bench, memory = (s.unrefreshed(), s.steady_memory) if case.steady else (s.bench, s.memory)
    plans = [pruned_plan(case, s.config, heads) for heads in counts]
    runs = [bench.run(case.name, plan, reads=True) for plan in plans]
    shape = f"n={case.tokens} D={case.dim}, {case.bits} bit, 30 % alive, 20 % of their values"
    row = Row.of(case.name, f"{shape}, {counts[-1]} heads", runs[-1])
    if case.steady:
        row = Row.between(case.name, f"{shape}, {counts[1]} − {counts[0]} heads", runs[0], runs[1], None)
    figures = []
    if memory is not None:
        moved = read_total(runs[-1]) - (read_total(runs[0]) if case.steady else 0)
        free, own = (alone[-1] - (alone[0] if case.steady else 0) for alone in (
            [sustained(m.reads, memory, s.config, queue) for m in runs] for queue in (0, None)))
        figures = [Figure("bytes read per cycle", moved / row.cycles),
                   Figure("memory and ports alone", moved / free),
                   Figure("of these", free / row.cycles, s.wanted(PRUNED_TARGETS[case.steady]), percent=True),
                   Figure("the same with the controller's own queue", moved / own),
                   Figure("of these", own / row.cycles, percent=True)]
    return s.outcome(row, plans[-1].jobs, runs[-1], figures)


# -- a prompt ----------------------------------------------------------------------------------------------


def summarise(s: Session, case: Case) -> Outcome:
    """Cycles against those on perfect memory."""
    plan = case.plan(s.config, case.heads)
    m = s.bench.run(case.name, plan)
    row, figures = Row.of(case.name, case.shape, m), []
    if s.memory is not None:
        # Memory contents stay in a simulation, addresses in the plan: the same plan runs on both.
        other = s.perfect().run(f"{case.name} on perfect memory", plan, m.results)
        row.mismatches.extend(other.mismatches)
        figures = [Figure("cycles on perfect memory", other.cycles),
                   Figure("cycles / those", m.cycles / other.cycles, s.wanted(SUMMARISE_TARGET), least=False)]
    return s.outcome(row, plan.jobs, m, figures)


# -- progressive quantisation ------------------------------------------------------------------------------


def refetch_plan(case: Case, c: SpAttenConfig, percent: int) -> BenchPlan:
    """A generation layer with so many flat rows, spread evenly over its heads."""
    plan = BenchPlan(c)
    bits = case.bits - LSB_WIDTH, LSB_WIDTH
    pool = plan.pool(case.heads, case.tokens, case.dim, bits, bits)
    shape = Shape(case.dim, case.tokens, case.tokens, case.keep, widest(12, c), bits, bits, THRESHOLD)
    # As many as the percentage says, at least one if there are to be any.
    flat = max(-(-case.heads * percent // 100), int(percent > 0))
    which = {(2 * i + 1) * case.heads // (2 * flat) for i in range(flat)}
    rows = [query(plan, pool, h, np.arange(case.tokens), Request(0, shape, h in which), case.name)
            for h in range(case.heads)]
    plan.add(pool, np.stack([codes for codes, _ in rows])[:, None], np.array([unit for _, unit in rows]), shape.q_bits,
             case.tokens, label=f"{percent} % flat", generate=1, keep_values=case.keep, threshold=THRESHOLD)
    return plan


def refetch(s: Session, case: Case, percents: Sequence[int]) -> list[Outcome]:
    """Cycles, and what a flat row costs beyond one that is not, without refreshes."""
    base, outcomes = None, []
    for percent in REFETCHES:
        if percent not in percents and percent:
            continue
        name = f"{case.name}-{percent}"
        plan = refetch_plan(case, s.config, percent)
        m = s.unrefreshed().run(name, plan)
        base = base or m
        flat = m.counters["refetches"]
        shape = (f"n={case.tokens} D={case.dim}, {case.bits - LSB_WIDTH}+{LSB_WIDTH} bit, keep {case.keep}, "
                 f"{case.heads} heads, {flat} flat")
        figures = [] if not flat else [
            Figure("cycles per flat row more", (m.cycles - base.cycles) / flat),
            Figure("by the bound", (m.bounds[0].limit - base.bounds[0].limit) / flat)]
        if percent in percents:
            outcomes.append(s.outcome(Row.of(name, shape, m), plan.jobs, m, figures))
    return outcomes


# -- all of them -------------------------------------------------------------------------------------------


def memory_cases(c: SpAttenConfig, *, heads: int | None = None, quick: bool = False) -> list[Case]:
    """The cases for a build, sizes as in `standard_cases`; refetch is one for all percentages."""
    like = {case.name: case for case in standard_cases(c, heads=heads, quick=quick)}
    prompt = next(case for name, case in like.items() if name == "summarise-384-all")
    layer = next(case for case in like.values() if case.generate)
    many = min(REFETCH_HEADS, c.max_heads) if not quick else min(8, c.max_heads)
    tokens = min(layer.tokens, 500)
    bits = widest(6, c.replace(operand_bits=c.operand_bits - LSB_WIDTH)) + LSB_WIDTH
    plain = Case("dense12", layer.tokens, layer.dim, widest(12, c), generate=True, heads=layer.heads)
    pruned8 = Case("pruned8", layer.tokens, layer.dim, widest(8, c), generate=True, heads=layer.heads)

    def steady(case: Case) -> Case:
        return replace(case, name=f"{case.name}-steady", steady=True)

    grouped = [Case(f"grouped{bits}", layer.tokens, layer.dim, widest(bits, c), generate=True, heads=9, group=3)
               for bits in (8, 12)]
    return [plain, steady(plain), pruned8, steady(pruned8), *(case for case in grouped if not case.fits(c)),
            Case("summarise384", prompt.tokens, prompt.dim, prompt.bits, heads=prompt.heads),
            Case("refetch", tokens, layer.dim, bits, keep=max(1, tokens // 5), generate=True, heads=many)]


def run_case(s: Session, case: Case, percents: Sequence[int] = REFETCHES) -> list[Outcome]:
    """A case of `memory_cases`."""
    if case.name == "refetch":
        return refetch(s, case, percents)
    if case.name.startswith("dense12"):
        return [dense(s, case)]
    if case.name.startswith("grouped"):
        return [grouped(s, case)]
    return [pruned(s, case) if case.name.startswith("pruned8") else summarise(s, case)]
