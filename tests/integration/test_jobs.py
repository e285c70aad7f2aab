"""Jobs as a driver meets them: interleaved sequences, queues, resets, illegal jobs, memory errors."""

import dataclasses
import random

import numpy as np
import pytest

from spatten_hw.host.driver import FILL, Driver
from spatten_hw.host.job import encode
from spatten_hw.host.layout import Plane
from spatten_hw.host.plan import Plan
from spatten_hw.host.words import place_of_words
from spatten_hw.host.workload import make_workload
from spatten_hw.interface.descriptor import FIELDS
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.engine import compare_pass, run_workload
from spatten_hw.sim.golden.integer_engine import run_golden

from .builds import QUAD, transport

LIMIT = 200_000


def make(seed: int, *, tokens: int = 12, queries: int | None = None, layers: int = 3, heads: int = 3, dim: int = 16,
         **job):
    """A workload with pruning in every layer; `queries` steps of generation, or a prompt."""
    numbers = np.random.default_rng(seed)
    rows = tokens if queries is None else queries
    shape = {"q": rows, "k": tokens, "v": tokens}
    arrays = {n: numbers.normal(size=(layers, heads, r, dim)) for n, r in shape.items()}
    start = tokens if queries is None else tokens - queries + 1
    defaults = {
        "stage": "summarise" if queries is None else "generate", "k_bits": [6, 4], "v_bits": [6, 4], "threshold": 0.3,
        "keep_tokens": [max(1, start - 2 * n) for n in range(layers)],
        "keep_heads": [max(1, heads - n) for n in range(layers)], "keep_values": [max(1, start // 2)] * layers,
    }
    return make_workload(arrays, defaults | job)


def load(driver: Driver, plan: Plan, p) -> None:
    """Puts a pass's data and an untouched output plane into memory."""
    driver.write(plan.layer_data(p.layer))
    driver.write(p.out.fill(p.job.query_heads, FILL))


def run_pass(driver: Driver, plan: Plan, p, job=None, tag: int = 0):
    """One pass on its own; (completion, what it left in memory)."""
    load(driver, plan, p)
    driver.submit(job or p.job, tag, p.descriptor)
    done = driver.wait(LIMIT)
    return done, driver._outcome(p, 0)


def end_of(plan: Plan) -> int:
    """A 4 KB aligned address behind everything a plan uses."""
    return plan.arena.next


@pytest.mark.parametrize("hostile", [False, True])
def test_two_sequences_share_one_accelerator(hostile):
    """State stored after every layer and loaded before the next: each sequence as if it were alone."""
    first = Plan(make(1), QUAD)
    second = Plan(make(2, tokens=9, heads=2, dim=8), QUAD, base=end_of(first))
    spare = {id(first): end_of(second), id(second): end_of(second) + 4096}
    expected = [run_golden(p).results for p in (first, second)]
    with transport(QUAD, hostile=hostile) as port:
        driver = Driver(QUAD, port)
        for layer in range(3):
            for plan, golden in zip((first, second), expected, strict=True):
                p = plan.passes[layer]
                kept = spare[id(plan)]
                job = p.job.replace(store_scores=1, scores_out=kept)
                if layer:
                    job = job.replace(load_ids=1, ids_in=plan.passes[layer - 1].job.ids_out, load_scores=1,
                                      scores_in=kept, restart=0)
                done, outcome = run_pass(driver, plan, p, job)
                assert done.error == 0, ErrorCode(done.error).text
                want = golden[layer]
                # `outcome` looks for scores where the plan would have put them.
                assert not compare_pass(outcome, dataclasses.replace(want, scores=None))
                totals = np.concatenate([want.token_scores, want.head_scores])
                assert np.array_equal(driver.read_words(kept, len(totals)), totals)


def test_scores_of_two_sequences_do_not_mix_without_saving():
    """The same interleaving without load differs: the test above can fail."""
    first, second = Plan(make(1), QUAD), Plan(make(2), QUAD, base=end_of(Plan(make(1), QUAD)))
    golden = run_golden(first).results
    with transport(QUAD) as port:
        driver = Driver(QUAD, port)
        wrong = []
        for layer in range(3):
            for plan in (first, second):
                _, outcome = run_pass(driver, plan, plan.passes[layer], plan.passes[layer].job)
                if plan is first:
                    wrong += compare_pass(outcome, golden[layer])
        assert wrong


def test_queued_jobs_equal_single_ones():
    """More jobs than the queue holds, pushed without waiting, against one at a time."""
    workload = make(3, tokens=14, queries=3, layers=4)
    with transport(QUAD) as port:
        queued = run_workload(workload, QUAD, "rtl", lambda _: port)
    assert queued.bit_exact, queued.mismatches
    plan = Plan(workload, QUAD)
    golden = run_golden(plan).results
    assert len(plan.passes) > QUAD.job_queue + 1
    with transport(QUAD) as port:
        driver = Driver(QUAD, port)
        stored = None
        for tag, (p, want) in enumerate(zip(plan.passes, golden, strict=True)):
            words = plan.scores_to_load(p, stored)
            if words is not None:
                driver.write_words(p.job.scores_in, words)
            done, outcome = run_pass(driver, plan, p, tag=tag)
            assert (done.tag, done.error) == (tag, 0)
            assert not compare_pass(outcome, want)
            stored = outcome.scores


@pytest.mark.parametrize("queries", [None, 2])
def test_reset_in_the_middle_of_a_job(queries):
    """Reset after any number of cycles, then the same workload from the start, right."""
    workload = make(4, queries=queries)
    plan = Plan(workload, QUAD)
    rng = random.Random(4)
    with transport(QUAD, hostile=True) as port:
        for cycles in [1, 30, *(rng.randrange(60, 1500) for _ in range(10))]:
            driver = Driver(QUAD, port)
            for tag, p in enumerate(plan.passes[:2]):
                load(driver, plan, p)
                driver.submit(p.job, tag, p.descriptor)
            port.run(cycles)
            port.reset()
        again = run_workload(workload, QUAD, "rtl", lambda _: port)
    assert again.bit_exact, again.mismatches


#: A change of a legal job → what the hardware must say of it.
ILLEGAL = [
    ({"dim": 20}, ErrorCode.BAD_DIM), ({"dim": 64}, ErrorCode.BAD_DIM), ({"q_bits": 5}, ErrorCode.BAD_Q_BITS),
    ({"k_msb": 12, "k_lsb": 4}, ErrorCode.K_TOO_WIDE), ({"k_lsb": 3}, ErrorCode.BAD_K_BITS),
    ({"v_msb": 0}, ErrorCode.BAD_V_BITS), ({"threshold": 4097}, ErrorCode.BAD_THRESHOLD),
    ({"tokens": 0}, ErrorCode.ZERO_TOKENS), ({"tokens": 65}, ErrorCode.TOO_MANY_TOKENS),
    ({"heads": 0}, ErrorCode.ZERO_HEADS), ({"group": 0}, ErrorCode.ZERO_GROUP),
    ({"heads": 9}, ErrorCode.TOO_MANY_HEADS), ({"keep_tokens": 0}, ErrorCode.ZERO_KEEP_TOKENS),
    ({"keep_values": 0}, ErrorCode.ZERO_KEEP_VALUES), ({"keep_heads": 0}, ErrorCode.ZERO_KEEP_HEADS),
    ({"keep_tokens": 3, "protect_first": 2, "protect_last": 2}, ErrorCode.PROTECTED_EXCEED_KEEP),
    ({"generate": 1, "causal": 1}, ErrorCode.CAUSAL_GENERATION),
    ({"restart": 1, "load_ids": 1}, ErrorCode.RESTART_AND_LOAD),
    ({"dim": 32, "tokens": 33}, ErrorCode.SRAM_OVERFLOW), ({"out_base": 4}, ErrorCode.MISALIGNED_OUTPUT),
    ({"q_base": (1 << 24) - 8}, ErrorCode.RANGE_Q),
    ({"k_msb_base": 4}, ErrorCode.MISALIGNED_ROWS), ({"q_token_stride": 1 << 16}, ErrorCode.STRIDE_TOO_LARGE),
]


def test_illegal_jobs_of_another_driver():
    """Each ends with its error and an interrupt, touches no memory but its descriptor, and the next job is right."""
    plan = Plan(make(5), QUAD)
    p = plan.passes[0]
    want = run_golden(plan).results[0]
    with transport(QUAD) as port:
        driver = Driver(QUAD, port)
        for tag, (change, code) in enumerate(ILLEGAL):
            load(driver, plan, p)
            job = p.job.replace(**change)
            image = encode(job.replace(heads=p.job.heads, group=1))
            header = image[:8] + encode_word(job, 1) + image[16:]
            driver.write_words(p.descriptor, header)
            port.set_write_guard([])
            port.set_read_guard(_ranges(p.descriptor, len(image)))
            push(driver, p.descriptor, tag)
            done = driver.wait(LIMIT)
            assert (done.tag, done.error) == (tag, code), change
            port.set_write_guard(None)
            port.set_read_guard(None)
            done, outcome = run_pass(driver, plan, p)
            assert done.error == 0
            assert not compare_pass(outcome, want)


def encode_word(job, word: int) -> bytes:
    """One word of the header, of a job that `encode` refuses because its counts do not match its scales."""
    fields = [f for f in FIELDS if f.word == word]
    return sum(job.fields[f.name] << f.lsb for f in fields).to_bytes(8, "little")


def push(driver: Driver, at: int, tag: int) -> None:
    """Queues a job as another driver might: without looking at it."""
    driver._write("JOB_ADDR_LO", at & 0xFFFFFFFF)
    driver._write("JOB_ADDR_HI", at >> 32)
    driver._write("JOB_PUSH", tag)
    driver._outstanding += 1


def _ranges(addr: int, size: int) -> list[tuple[int, int, int]]:
    """(channel, first, end) of the whole beats round a range of words."""
    channel, local = place_of_words(addr, QUAD)
    return [(channel, *_whole_beats(local, size))]


def _whole_beats(first: int, size: int) -> tuple[int, int]:
    beat = QUAD.beat_bytes
    return first // beat * beat, -(-(first + size) // beat) * beat


@pytest.mark.parametrize("queries", [None, 1])
def test_memory_errors_end_the_job_with_their_class(queries):
    """An error on one access of each class: the code names the class, nothing hangs, the next job is right."""
    plan = Plan(make(6, queries=queries, k_bits=[6, 4], threshold=1.0), QUAD)
    p = plan.passes[1]
    golden = run_golden(plan).results
    job = p.job
    row = 16 * 6 // 8
    words = {ErrorCode.READ_DESCRIPTOR: p.descriptor, ErrorCode.READ_STATE: plan.passes[0].job.ids_out,
             ErrorCode.WRITE_STATE: job.ids_out}
    planes = {ErrorCode.READ_Q: "q", ErrorCode.READ_K: "k_msb", ErrorCode.READ_V: "v_msb",
              ErrorCode.WRITE_OUTPUT: "out"}
    with transport(QUAD) as port:
        driver = Driver(QUAD, port)
        for code in (*words, *planes):
            done, _ = run_pass(driver, plan, plan.passes[0], plan.passes[0].job)
            assert done.error == 0
            attempt = job
            if code is ErrorCode.READ_STATE:
                attempt = job.replace(load_ids=1, ids_in=plan.passes[0].job.ids_out)
            inject = port.inject_write_error if code.name.startswith("WRITE") else port.inject_read_error
            head_alive = int(np.flatnonzero(golden[1].heads_alive)[0])
            token = int(np.flatnonzero(golden[1].tokens_alive)[0])
            if code in words:
                spans = _ranges(words[code], 8)
            else:
                name = planes[code]
                base, heads, tokens = (getattr(job, f"{name}_{x}") for x in ("base", "head_stride", "token_stride"))
                plane = Plane(base, heads, tokens, row, QUAD.channels)
                # Which values of V are read is another matter: all of the head's.
                tokens = range(job.tokens) if name == "v_msb" else [0 if queries and name in ("q", "out") else token]
                spans = [(int(plane.channel(head_alive, t)), *_whole_beats(int(plane.address(head_alive, t)), row))
                         for t in tokens]
            for channel, first, end in spans:
                inject(channel, span=(first, end))
            done, _ = run_pass(driver, plan, p, attempt)
            assert done.error == code, f"{code.name}: got {ErrorCode(done.error).name}"
            port.clear_errors()
        # A cascade that was interrupted starts again.
        for q, want in zip(plan.passes, golden, strict=True):
            done, outcome = run_pass(driver, plan, q)
            assert done.error == 0
            assert not compare_pass(outcome, want)
